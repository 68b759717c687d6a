package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
)

func newAttestation(c *common) *cobra.Command {
	cmd := group("attestation", "Show or replace the attestation material")
	cmd.Long = `Show or replace the attestation material, with which the node proves its origin: the
device attestation certificate (DAC) with its key, the certificate that issued it
(PAI), and the certification declaration (CD).

The first start makes development material under a published test root. With it,
controllers report that the device is not certified. Fabrics survive a change.`
	cmd.AddCommand(newAttestationShow(c), newAttestationVerify(c), newAttestationImport(c), newAttestationGenerate(c), newCSR(c))
	return cmd
}

// material holds the flags of the commands for attestation material.
type material struct {
	dacKeyFile string
	paas       []string
	signers    []string
	vid        matter.VendorID
	pid        matter.ProductID
}

func (m *material) registerTrust(fl *pflag.FlagSet) {
	fl.StringArrayVar(&m.paas, "paa", nil, "`file` with a root certificate (PAA) to trust in addition to the published test roots, PEM or DER; may be repeated")
	fl.StringArrayVar(&m.signers, "cd-signer", nil, "`file` with the certificate of a signer of certification declarations, PEM or DER; may be repeated")
}

// trust reads the files of the flags.
func (m *material) trust() (t admin.AttestationTrust, err error) {
	t.VendorID, t.ProductID = m.vid, m.pid
	for _, f := range m.paas {
		der, err := readFile("paa", f, attestation.DecodeCertificate)
		if err != nil {
			return t, err
		}
		t.Roots = append(t.Roots, der)
	}
	for _, f := range m.signers {
		der, err := readFile("cd-signer", f, attestation.DecodeCertificate)
		if err != nil {
			return t, err
		}
		t.Signers = append(t.Signers, der)
	}
	return t, nil
}

// readFile reads and decodes the file of a flag.
func readFile(flag, file string, decode func([]byte) ([]byte, error)) ([]byte, error) {
	b, err := readBounded(file, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	out, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("--%s: %s: %w", flag, file, err)
	}
	return out, nil
}

func newAttestationShow(c *common) *cobra.Command {
	var m material
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the attestation material",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.nodeWithKey(cmd.Context(), reads, m.dacKeyFile, func(n *admin.Operator) error {
				a, err := n.Attestation(cmd.Context())
				if err != nil {
					return err
				}
				return c.print(a, func(w io.Writer) error { return printAttestation(w, &a) })
			})
		},
	}
	registerDACKey(cmd.Flags(), &m.dacKeyFile)
	return cmd
}

func newAttestationVerify(c *common) *cobra.Command {
	var m material
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the material as a commissioner does",
		Long: `Check the material as a commissioner does, without asking anybody: the form of the
certificates, their chain to a root, vendor and product in them, in the
declaration and in the configuration, the declaration's signature, validity, and
that the key is the DAC's. Exit status 1 if anything is wrong.

What cannot be checked here is a note: the roots and signers of production are
known to commissioners; give theirs with --paa and --cd-signer.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := m.trust()
			if err != nil {
				return err
			}
			return c.nodeWithKey(cmd.Context(), reads, m.dacKeyFile, func(n *admin.Operator) error {
				a, err := n.VerifyAttestation(cmd.Context(), t)
				if err != nil {
					return err
				}
				if err := c.print(a, func(w io.Writer) error { return printVerdict(w, &a) }); err != nil {
					return err
				}
				if len(a.Faults) > 0 {
					return errors.New("commissioners will reject this material")
				}
				return nil
			})
		},
	}
	m.registerTrust(cmd.Flags())
	registerIDs(cmd.Flags(), &m.vid, &m.pid)
	registerDACKey(cmd.Flags(), &m.dacKeyFile)
	return cmd
}

func newAttestationImport(c *common) *cobra.Command {
	var m material
	var dac, pai, key, cd string
	cmd := &cobra.Command{
		Use:   "import --dac FILE --pai FILE --cd FILE [--key FILE]",
		Short: "Replace the material with that of a factory CA",
		Long: `Replace the material with that of a factory CA. Files are PEM or DER; the
key is SEC 1 or PKCS #8, not encrypted. What "opcredsd attestation verify" refuses
is refused, and nothing has changed then. Fabrics stay.

A running daemon uses the new material at once. It takes a restart only where
vendor or product differ. Without --key the DAC's key is taken from
--dac-key-file, or from where the daemon has it, and is not kept in the store.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "dac", "pai", "cd"); err != nil {
				return err
			}
			q, err := readMaterial(dac, pai, cd, key)
			if err != nil {
				return err
			}
			defer clear(q.Key)
			if q.Trust, err = m.trust(); err != nil {
				return err
			}
			return c.nodeWithKey(cmd.Context(), makes, m.dacKeyFile, func(n *admin.Operator) error {
				a, err := n.ImportAttestation(cmd.Context(), q)
				return c.changed(a, "imported", err)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&dac, "dac", "", "`file` with the device attestation certificate")
	fl.StringVar(&pai, "pai", "", "`file` with the certificate that issued the DAC (PAI)")
	fl.StringVar(&cd, "cd", "", "`file` with the certification declaration")
	fl.StringVar(&key, "key", "", "`file` with the DAC's key, to be kept in the store")
	m.registerTrust(fl)
	registerIDs(fl, &m.vid, &m.pid)
	registerDACKey(fl, &m.dacKeyFile)
	return cmd
}

// required returns an error if one of these flags is missing.
func required(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if !cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s: a file is required", name)}
		}
	}
	return nil
}

// readMaterial reads the files of an import.
func readMaterial(dac, pai, cd, key string) (q admin.AttestationMaterial, err error) {
	if q.DAC, err = readFile("dac", dac, attestation.DecodeCertificate); err != nil {
		return q, err
	}
	if q.PAI, err = readFile("pai", pai, attestation.DecodeCertificate); err != nil {
		return q, err
	}
	if q.CD, err = readFile("cd", cd, attestation.DecodeDeclaration); err != nil {
		return q, err
	}
	if key != "" {
		q.Key, err = readFile("key", key, func(b []byte) ([]byte, error) {
			defer clear(b)
			k, err := attestation.DecodeKey(b)
			if err != nil {
				return nil, err
			}
			return k.Scalar(), nil
		})
	}
	return q, err
}

func newAttestationGenerate(c *common) *cobra.Command {
	var m material
	var force bool
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Replace the material with new development material",
		Long: `Replace the material with new development material under a published test root.
Controllers say that such a device is not certified, and some refuse it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.nodeWithKey(cmd.Context(), makes, m.dacKeyFile, func(n *admin.Operator) error {
				a, err := n.GenerateAttestation(cmd.Context(), admin.GenerateRequest{VendorID: m.vid, ProductID: m.pid, Force: force})
				return c.changed(a, "generated", err)
			})
		},
	}
	registerIDs(cmd.Flags(), &m.vid, &m.pid)
	registerDACKey(cmd.Flags(), &m.dacKeyFile)
	cmd.Flags().BoolVar(&force, "force", false, "replace production material too")
	return cmd
}

// changed prints the new material.
func (c *common) changed(a admin.AttestationChange, how string, err error) error {
	if err != nil {
		return err
	}
	return c.print(a, func(w io.Writer) error {
		fmt.Fprintf(w, "%s: %s\n", how, attestationLine(&a.Attestation))
		for _, n := range a.Notes {
			fmt.Fprintf(w, "note: %s\n", n)
		}
		if a.Restart {
			fmt.Fprintln(w, "vendor or product have changed: restart the daemon, so that it reports them")
		}
		return nil
	})
}

func newCSR(c *common) *cobra.Command {
	var m material
	var key, common string
	cmd := &cobra.Command{
		Use:   "csr --key FILE",
		Short: "Print a certificate request for a factory CA",
		Long: `Print a PKCS #10 request for a device attestation certificate, in PEM. The key is
made in FILE, mode 0600, if the file is not there; it never leaves this machine.
The subject names vendor and product as a DAC does.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "key"); err != nil {
				return err
			}
			if m.vid == 0 {
				m.vid = server.DefaultVendorID
			}
			if m.pid == 0 {
				m.pid = server.DefaultProductID
			}
			text, made, err := readOrMakeKey(key)
			if err != nil {
				return fmt.Errorf("--key: %w", err)
			}
			defer clear(text)
			k, err := attestation.DecodeKey(text)
			if err != nil {
				return fmt.Errorf("--key: %s: %w", key, err)
			}
			csr, err := attestation.NewCSR(rand.Reader, k, common, m.vid, m.pid)
			if err != nil {
				return usageError{err}
			}
			out := struct {
				CSR       string           `json:"csr"`
				KeyFile   string           `json:"key_file"`
				KeyMade   bool             `json:"key_made"`
				VendorID  matter.VendorID  `json:"vendor_id"`
				ProductID matter.ProductID `json:"product_id"`
			}{string(csr), key, made, m.vid, m.pid}
			return c.print(out, func(w io.Writer) error {
				if made {
					fmt.Fprintf(c.stderr, "made a key in %s: keep it, the certificate is for it\n", key)
				}
				_, err := w.Write(csr)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "`file` with the DAC's key")
	cmd.Flags().StringVar(&common, "common-name", "opcredsd DAC", "common name in the subject, up to 64 octets")
	registerIDs(cmd.Flags(), &m.vid, &m.pid)
	return cmd
}

// certificateRow prints the lines of a certificate.
func certificateRow(w io.Writer, name string, x *admin.Certificate) {
	if x == nil {
		return
	}
	fmt.Fprintf(w, "%s\t%s, serial %s\n", name, x.Subject, x.Serial)
	fmt.Fprintf(w, "\tvalid %s to %s, key id %s\n", x.NotBefore.Format(time.DateOnly), day(x.NotAfter), x.KeyID)
}

func day(t *time.Time) string {
	if t == nil {
		return "no end"
	}
	return t.Format(time.DateOnly)
}

func printAttestation(w io.Writer, a *admin.Attestation) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "attestation\t%s\n", attestationLine(a))
	certificateRow(t, "DAC", a.DAC)
	certificateRow(t, "PAI", a.PAI)
	if a.Root != "" {
		fmt.Fprintf(t, "root\t%s\n", a.Root)
	} else {
		fmt.Fprintf(t, "root\tnot known here\n")
	}
	if d := a.CD; d != nil {
		products := make([]string, len(d.ProductIDs))
		for i, p := range d.ProductIDs {
			products[i] = fmt.Sprintf("%04X", uint16(p))
		}
		fmt.Fprintf(t, "declaration\t%s, %q, vendor %04X, product %s\n", d.Type, d.CertificateID, uint16(d.VendorID), strings.Join(products, " "))
	}
	fmt.Fprintf(t, "key\t%s\n", a.Key)
	for _, f := range a.Faults {
		fmt.Fprintf(t, "fault\t%s\n", f)
	}
	for _, n := range a.Notes {
		fmt.Fprintf(t, "note\t%s\n", n)
	}
	return t.Flush()
}

func printVerdict(w io.Writer, a *admin.Attestation) error {
	for _, f := range a.Faults {
		fmt.Fprintf(w, "fault: %s\n", f)
	}
	for _, n := range a.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	if len(a.Faults) == 0 {
		fmt.Fprintf(w, "good: %s\n", attestationLine(a))
	}
	return nil
}

// readOrMakeKey returns the content of a key file. If the file does not exist, it
// creates it with a new key.
func readOrMakeKey(file string) (text []byte, made bool, err error) {
	text, err = readBounded(file, maxKeyFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, false, err
	}
	if text, err = attestation.GenerateKey(rand.Reader); err != nil {
		return nil, false, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, false, err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, false, errors.Join(err, os.Remove(file))
	}
	return text, true, nil
}
