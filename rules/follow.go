package rules

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long after a notification the file is read, and how long a changed file
// must stay as it is before it is taken: it may be half written.
const settle = 100 * time.Millisecond

// Open reads a file of rules, and follows its changes until Close. A changed file with a
// mistake changes nothing: the rules read last stay, and the log says so. The error is a
// [Mistakes] if the file has mistakes.
func Open(path string, cfg Config) (*Set, error) {
	cfg, err := cfg.prepared()
	if path == "" {
		err = errors.Join(errors.New("rules: the path of the file is empty"), err)
	}
	if err != nil {
		return nil, err
	}
	s := &Set{cfg: cfg, path: path}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	events, failures, stop := s.watch()
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { s.follow(ctx, events, failures) })
	s.close = sync.OnceFunc(func() {
		cancel()
		following.Wait()
		stop()
	})
	return s, nil
}

// watch has the operating system notify of changes in the directory of the file. A file
// that another one replaces, as editors and Kubernetes do, is not noticed by watching
// itself.
func (s *Set) watch() (events <-chan fsnotify.Event, failures <-chan error, stop func()) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(filepath.Dir(s.path)); err == nil {
			return w.Events, w.Errors, func() { _ = w.Close() }
		}
		_ = w.Close()
	}
	s.logUnwatched(context.Background(), err)
	return nil, nil, func() {}
}

// follow takes changes of the file until ctx ends.
func (s *Set) follow(ctx context.Context, events <-chan fsnotify.Event, failures <-chan error) {
	poll := time.NewTicker(s.cfg.Poll)
	defer poll.Stop()
	var (
		look <-chan time.Time // when to look next, beside poll
		seen string           // the changed content that was seen last
	)
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
			} else if look == nil {
				look = time.After(settle)
			}
			continue
		case err, ok := <-failures:
			if !ok {
				failures = nil
				continue
			}
			s.logUnwatched(ctx, err) // and notifications may be lost
		case <-poll.C:
		case <-look:
		}
		look = nil
		if seen = s.look(ctx, seen); seen != "" {
			look = time.After(settle)
		}
	}
}

// look takes the file if its content is not that of the rules and the same as it was when
// it was looked at before. Otherwise it returns the content's hash, for the next time.
func (s *Set) look(ctx context.Context, seen string) string {
	hash, changed := s.lookNow(ctx, seen)
	changed.log(ctx, s)
	return hash
}

func (s *Set) lookNow(ctx context.Context, seen string) (string, changedFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnExpired(ctx)
	data, err := readFile(s.path)
	if err == nil {
		if hash := hashOf(data); hash != seen && hash != s.File().hash {
			return hash, changedFile{}
		}
	}
	changed, _ := s.load(ctx, data, err) // it is in the log
	return "", changed
}

// Reload reads the file now, and returns what is wrong with it: then the rules stay. It
// does nothing for a Set of New.
func (s *Set) Reload() error {
	if s == nil || s.path == "" {
		return nil
	}
	changed, err := s.reloadNow()
	changed.log(context.Background(), s)
	return err
}

func (s *Set) reloadNow() (changedFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := readFile(s.path)
	return s.load(context.Background(), data, err)
}

// changedFile is a change that has been taken. The zero value is none.
type changedFile struct{ before, after *File }

// load takes what was read, or says what is wrong with it. It is called with the lock held.
// What it returns is for the log: to compare two files takes time.
func (s *Set) load(ctx context.Context, data []byte, err error) (changedFile, error) {
	before := s.revision()
	if err == nil && before != nil && before.file.hash == hashOf(data) {
		if s.stale.CompareAndSwap(true, false) {
			s.refused = ""
			s.logRestored(ctx)
		}
		return changedFile{}, nil
	}
	var f *File
	if err == nil {
		f, err = Parse(data, s.path)
	}
	if err == nil {
		_, err = s.admit(f)
	}
	if err != nil {
		if before != nil {
			s.failed.Add(1)
			s.stale.Store(true)
			s.logRefused(ctx, err)
		}
		return changedFile{}, err
	}
	return changedFile{s.take(ctx, before, f), f}, nil
}

// readFile reads a file of at most maxBytes and one more. It does not wait for one that is
// none, such as a pipe.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("rules: %s is not a file", path)
	}
	f, err := os.Open(path) //nolint:gosec // the app says which file it is
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	return data, errors.Join(err, f.Close())
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// logUnwatched says that the operating system does not notify.
func (s *Set) logUnwatched(ctx context.Context, err error) {
	s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "mfa rules: no notifications of changes: the file is looked at regularly",
		slog.String("event", "rules_unwatched"), slog.String("file", s.path), slog.Duration("poll", s.cfg.Poll), slog.Any("error", err))
}
