package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"opcredsd": main})
}

// TestScripts runs the real program with the scripts in testdata/script.
func TestScripts(t *testing.T) {
	p := params()
	p.Dir = "testdata/script"
	testscript.Run(t, p)
}

// params returns the commands and conditions of all scripts.
func params() testscript.Params {
	return testscript.Params{
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("OPCREDSD_CONFIG", "") // not the machine's file
			old, err := filepath.Abs("../../pkg/store/testdata/schema1.db.gz")
			env.Setenv("SCHEMA1", old) // a store of the first schema
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":   checkStatus,
			"await":    await,
			"awaitlog": awaitFile,
			"daemon":   daemonCommand,
			"material": makeMaterial,
			"link":     makeLink,
			"hold":     holdPort,
			"hangup":   hangUp,
			"listen":   listenNotify,
			"newer":    makeNewer,
			"oneline":  oneLine,
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "container":
				_, err := os.Stat("/.dockerenv")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition")
		},
	}
}

// checkStatus runs a command and checks its exit status: status 2 opcredsd …
func checkStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// oneLine checks that the last command wrote one line to stderr.
func oneLine(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("stderr")
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "opcredsd: ") {
		ts.Fatalf("not one line: %q", text)
	}
}
