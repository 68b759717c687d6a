//go:build interop

package interop

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	serviceTypes       = "_services._dns-sd._udp.local."
	commissionableType = "_matterc._udp.local."
	operationalType    = "_matter._tcp.local."
	devicePort         = 5540
)

// window is the expected content of a commissionable announcement.
type window struct {
	discriminator uint16
	mode          string // TXT key CM: 1 on-board passcode, 2 enhanced
	product       int
}

// subtypes returns the subtypes of the window's service.
func (w window) subtypes() []string {
	names := []string{commissionableType}
	for _, s := range []string{
		fmt.Sprintf("_L%d", w.discriminator),
		fmt.Sprintf("_S%d", w.discriminator>>8),
		fmt.Sprintf("_V%d", testVendor),
		"_CM",
	} {
		names = append(names, s+"._sub."+commissionableType)
	}
	return names
}

// commissionable finds the device that announces w and checks its records.
func (r *resolver) commissionable(ctx context.Context, w window, home []netip.Addr) (instance string, err error) {
	names, mark := w.subtypes(), r.mark()
	got, err := r.ask(ctx, mark, question(dns.TypePTR, append(names, serviceTypes)...), func(rs records) error {
		if types := rs.pointers(serviceTypes); !slices.Contains(types, commissionableType) {
			return fmt.Errorf("service types %q without %s", types, commissionableType)
		}
		for _, name := range names {
			if found := rs.pointers(name); len(found) != 1 || found[0] != rs.pointers(names[0])[0] {
				return fmt.Errorf("%s leads to %q", name, found)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	instance = got.pointers(commissionableType)[0]
	text, err := r.resolve(ctx, mark, instance, home)
	if err != nil {
		return "", err
	}
	want := map[string]string{"D": fmt.Sprint(w.discriminator), "CM": w.mode, "VP": fmt.Sprintf("%d+%d", testVendor, w.product)}
	for key, value := range want {
		if text[key] != value {
			return "", fmt.Errorf("TXT %s=%s, want %s", key, text[key], value)
		}
	}
	label := strings.TrimSuffix(instance, "."+commissionableType)
	if !isUpperHex(label, 16) {
		return "", fmt.Errorf("instance name %q: want 16 upper-case hexadecimal digits", label)
	}
	return label, nil
}

// resolve checks that the instance has the device's port and only addresses of the
// device, including its link-local one, in the records since mark.
func (r *resolver) resolve(ctx context.Context, mark int, instance string, home []netip.Addr) (text map[string]string, err error) {
	questions := append(question(dns.TypeSRV, instance), question(dns.TypeTXT, instance)...)
	got, err := r.ask(ctx, mark, questions, func(rs records) error {
		if _, _, ok := rs.service(instance); !ok {
			return fmt.Errorf("no SRV record of %s", instance)
		}
		if _, ok := rs.text(instance); !ok {
			return fmt.Errorf("no TXT record of %s", instance)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	host, port, _ := got.service(instance)
	if port != devicePort {
		return nil, fmt.Errorf("SRV port %d, want %d", port, devicePort)
	}
	questions = append(question(dns.TypeAAAA, host), question(dns.TypeA, host)...)
	_, err = r.ask(ctx, mark, questions, func(rs records) error {
		found := rs.hosts(host)
		for _, a := range found {
			if !slices.Contains(home, a) {
				return fmt.Errorf("%s has address %v, which is not the device's", host, a)
			}
		}
		if !slices.ContainsFunc(found, func(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }) {
			return fmt.Errorf("%s has no link-local address: %v", host, found)
		}
		return nil
	})
	text, _ = got.text(instance)
	return text, err
}

// operational checks that the instance is announced under its service type and is
// the only one under its fabric's subtype.
func (r *resolver) operational(ctx context.Context, instance string, home []netip.Addr) error {
	name := instance + "." + operationalType
	subtype := "_I" + instance[:16] + "._sub." + operationalType
	mark := r.mark()
	_, err := r.ask(ctx, mark, question(dns.TypePTR, operationalType, subtype), func(rs records) error {
		if found := rs.pointers(operationalType); !slices.Contains(found, name) {
			return fmt.Errorf("%s leads to %q, not to %s", operationalType, found, name)
		}
		if found := rs.pointers(subtype); len(found) != 1 || found[0] != name {
			return fmt.Errorf("%s leads to %q, want %s alone", subtype, found, name)
		}
		return nil
	})
	if err == nil {
		_, err = r.resolve(ctx, mark, name, home)
	}
	return err
}

// gone checks that a goodbye removed the pointer from name to target. It then
// checks that a question for name, sent together with one for control that is
// answered, does not return target; if empty is true, it must have no answer.
func (r *resolver) gone(ctx context.Context, name, target string, empty bool, control string) error {
	const answersComeWithin = 300 * time.Millisecond
	remaining := errors.New("not asked")
	for deadline := time.Now().Add(4 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; {
		mark := r.mark()
		_, err := r.ask(ctx, mark, question(dns.TypePTR, name, control), func(rs records) error {
			if len(rs.pointers(control)) == 0 {
				return fmt.Errorf("no answer about %s either", control)
			}
			return nil
		})
		if err != nil {
			return err
		}
		time.Sleep(answersComeWithin)
		answers, _ := r.since(mark)
		history, _ := r.since(0)
		switch found := answers.pointers(name); {
		case slices.Contains(found, target), empty && len(found) > 0:
			remaining = fmt.Errorf("%s still leads to %q", name, found)
		case slices.Contains(history.pointers(name), target):
			remaining = fmt.Errorf("no goodbye for %s", target)
		default:
			return nil
		}
	}
	return remaining
}

func isUpperHex(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789ABCDEF") == ""
}

// instanceName returns the operational instance name of a node in a fabric (section
// 4.3.2 of the Core Specification). It does not use the daemon's code on purpose.
func instanceName(rootPublicKey []byte, fabricID, nodeID integer) (string, error) {
	salt := binary.BigEndian.AppendUint64(nil, uint64(fabricID))
	compressed, err := hkdf.Key(sha256.New, rootPublicKey[1:], salt, "CompressedFabric", 8)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%X-%016X", compressed, uint64(nodeID)), nil
}
