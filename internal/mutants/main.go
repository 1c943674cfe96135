// Mutants plants mistakes in the engine, one at a time, and sees that the reference
// model notices each. It is what make mutants runs, in the root of the module. The
// tree is not touched: the changed file is an overlay for the compiler.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	only := flag.String("only", "", "plant only mutants whose rule holds this text")
	histories := flag.String("histories", "10000", "how many histories the model may need at most")
	flag.Parse()
	if err := run(*only, *histories); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run plants the mutants, as many at once as there are processors.
func run(only, histories string) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed []error
		slots  = make(chan struct{}, runtime.GOMAXPROCS(0))
		begun  = time.Now()
		count  int
	)
	for i, m := range mutants() {
		if !strings.Contains(m.rule, only) {
			continue
		}
		count++
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			said, err := m.plant(filepath.Join(dir, strconv.Itoa(i)), histories)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", m.rule, err))
				said = "FAILED"
			}
			_, _ = fmt.Fprintf(os.Stdout, "%-80s %s\n", m.rule, said)
		})
	}
	wg.Wait()
	_, _ = fmt.Fprintf(os.Stdout, "%d of %d mutants caught in %v\n", count-len(failed), count, time.Since(begun).Round(time.Second))
	return errors.Join(failed...)
}

// mutate returns the file with the mistake in it.
func (m mutant) mutate() ([]byte, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s holds %q %d times, not once", m.file, m.old, n)
	}
	return bytes.Replace(source, []byte(m.old), []byte(m.new), 1), nil
}

// plant builds the model's test with the mistake, and runs it. It returns which
// history has shown it to the model.
func (m mutant) plant(dir, histories string) (string, error) {
	changed, err := m.mutate()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, filepath.FromSlash(m.file))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		return "", err
	}
	here, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {here: file}})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	tests, err := filepath.Glob("model*_test.go")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "model.test")
	// No other tests: they would notice too, and take their time to compile.
	args := append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", list, "-o", binary}, tests...)
	build := exec.CommandContext(context.Background(), "go", args...) //nolint:gosec // of this program's own making
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, said)
	}
	test := exec.CommandContext(context.Background(), binary, "-test.run=^TestModel$", "-test.timeout=5m") //nolint:gosec // built above
	test.Env = append(os.Environ(), "MODEL="+histories, "MODEL_BRIEF=1")
	said, err := test.CombinedOutput()
	switch exit := (*exec.ExitError)(nil); {
	case err == nil:
		return "", fmt.Errorf("not noticed in %s histories", histories)
	case !errors.As(err, &exit):
		return "", err
	}
	for line := range strings.Lines(string(said)) {
		if _, which, ok := strings.Cut(line, "history of "); ok {
			which, _, _ = strings.Cut(which, ": ")
			return strings.TrimRight(which, ":\n"), nil
		}
	}
	return "", fmt.Errorf("the model did not say what it noticed:\n%.2000s", said)
}
