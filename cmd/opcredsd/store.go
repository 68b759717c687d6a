package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func newStore(c *common) *cobra.Command {
	cmd := group("store", "Check, back up or restore the store")
	cmd.AddCommand(newStoreCheck(c), newBackup(c), newRestore(c))
	return cmd
}

func newStoreCheck(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the store's integrity",
		Long: `Check every record of the store, and that each fabric is complete: its certificates,
its key, an administrator. The daemon does the same at each start. Exit status 1 if
anything is wrong.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.node(cmd.Context(), reads, func(n *admin.Operator) error {
				if err := n.CheckStore(cmd.Context()); err != nil {
					return err
				}
				return c.done("the store is valid")
			})
		},
	}
}

func newBackup(c *common) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a consistent copy, even while the daemon runs",
		Long: `Write a consistent copy of the store to FILE, even while the daemon runs.

The copy contains the node's private keys: keep it as safe as the node. It is verified
after writing. An existing FILE is only replaced with --force.

If FILE is "-", the copy is written to the standard output, for example for a program
that encrypts it, and not verified; "opcredsd store restore --dry-run" verifies it.`,
		Example: `  opcredsd store backup /backup/opcredsd-$(date +%F).db
  opcredsd store backup - | age -r age1... >opcredsd.db.age`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.backup(cmd.Context(), args[0], force) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	return cmd
}

// backupToStdout writes the copy to the standard output, unless that is a terminal.
func (c *common) backupToStdout(ctx context.Context) error {
	if isTerminal(c.stdout) {
		return usageError{errors.New("a copy of the store is not written to a terminal: give a file, or redirect the output")}
	}
	return c.node(ctx, reads, func(n *admin.Operator) error { return n.Backup(ctx, c.stdout) })
}

// backup writes the copy with another name first and verifies it, so that an
// existing FILE is always complete.
func (c *common) backup(ctx context.Context, file string, force bool) (err error) {
	if file == "-" {
		return c.backupToStdout(ctx)
	}
	if err := c.mayReplace(file, force); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp")
	var at *os.PathError
	if errors.As(err, &at) {
		return fmt.Errorf("%s: %w", file, at.Err) // without the temporary name
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := c.node(ctx, reads, func(n *admin.Operator) error { return n.Backup(ctx, f) }); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := provision.VerifyBackup(f.Name()); err != nil {
		return fmt.Errorf("the copy is not valid: %w", err)
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(file)); err != nil {
		return err
	}
	return c.done("copied the store to %s", file)
}

// mayReplace returns an error if a copy must not replace the file: if it is not a
// regular file, a store in use, or the store that is copied.
func (c *common) mayReplace(file string, force bool) error {
	info, err := os.Stat(file)
	if err != nil {
		return nil // it does not exist, or writing to it reports the error
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: give another name", file)
	}
	if err := provision.VerifyBackup(file); provision.Locked(err) {
		return fmt.Errorf("a copy must not take the place of a store: %w", err)
	}
	own, err := os.Stat(filepath.Join(c.stateDir, store.FileName))
	if err == nil && os.SameFile(info, own) {
		return fmt.Errorf("%s is the store itself: give another file", file)
	}
	if !force {
		return fmt.Errorf("%s exists: give another file, or replace it with --force", file)
	}
	return nil
}

// syncDir syncs the names in a directory to the disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil // it may be writable but not readable
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func newRestore(c *common) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Replace the store with a copy; the daemon must not run",
		Long: `Replace the store with a copy made by "opcredsd store backup". The daemon must not be
running. The old store is kept next to it, with the suffix .before-restore, the next
one with .before-restore.2. A store that cannot be kept is not replaced.

Counters are advanced and sessions are removed, so that nothing can be replayed.
Fabrics that were removed since the copy was made exist again: see "opcredsd fabrics
list". Never run two nodes from one copy.`,
		Example: `  opcredsd store restore --dry-run /backup/opcredsd-2026-11-23.db
  systemctl stop opcredsd && opcredsd store restore /backup/opcredsd-2026-11-23.db && systemctl start opcredsd`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			rows, err := operator.BackupFabrics(args[0])
			if err != nil {
				return err
			}
			if !dryRun {
				if err := provision.Restore(c.stateDir, f, c.log()); err != nil {
					return err
				}
			}
			return c.print(rows, func(w io.Writer) error {
				what := "restored; the node now has these fabrics, including any removed since the copy was made:"
				if dryRun {
					what = "nothing was changed; the node would have these fabrics:"
				}
				fmt.Fprintln(w, what)
				return printFabrics(w, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show the fabrics in the copy")
	return cmd
}

func newFactoryReset(c *common) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "factory-reset",
		Short: "Remove all fabrics and the settings of controllers",
		Long: `Remove all fabrics, sessions, access control and settings of controllers. The
attestation material, the passcode and the discriminator stay. If you may want to
undo this, back up the store first.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				if err := confirm(cmd.InOrStdin(), c.stderr, "Remove all fabrics? Every controller will lose this node. [y/N] "); err != nil {
					return err
				}
			}
			return c.node(cmd.Context(), writes, func(n *admin.Operator) error {
				if err := n.FactoryReset(cmd.Context()); err != nil {
					return err
				}
				return c.done("the node was reset")
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func confirm(in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, question)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return admin.Refuse("nothing was changed (answer y, or use --yes)")
	}
	return nil
}
