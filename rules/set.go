package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa"
)

// Config configures a [Set].
type Config struct {
	// Enforcer is the one of the mounts that the rules guard. The file's on_unavailable
	// is applied to it, and a file that guards its EnrollURL or LoginURL is refused.
	// Required.
	Enforcer *echomfa.Enforcer
	// Pages are more pages that users without a factor must reach, as in [CheckOptions].
	// Optional.
	Pages []string
	// Roles and Tenants are the values that the app's identities have. Another value in a
	// file is a mistake, and in an [Identity] a 500. Optional. Default: a rule with a role
	// is a mistake, and every tenant is known.
	Roles, Tenants []string
	// Factors are the types that users can enroll: a policy that these do not satisfy is a
	// mistake. Optional. Default: it is not known which.
	Factors []echomfa.FactorType
	// Poll is how often the content of the file is looked at, beside the notifications of
	// the operating system, which some file systems do not send. Optional. Default 30 s,
	// at least 1 s.
	Poll time.Duration
	// Logger gets a line for each change of the rules, for each change that is refused and
	// for each exemption that expires, see docs/log.schema.md. Optional. Default: nothing is
	// logged.
	Logger *slog.Logger
}

const (
	defaultPoll = 30 * time.Second
	minPoll     = time.Second
)

// prepared returns the configuration with its defaults, and all that is wrong with it.
func (c Config) prepared() (Config, error) {
	var errs []error
	if c.Enforcer == nil || c.Enforcer.Client() == nil {
		errs = append(errs, errors.New("rules: Enforcer: required, made by echomfa.New"))
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	if c.Poll < minPoll {
		errs = append(errs, fmt.Errorf("rules: Poll: %v is below %v", c.Poll, minPoll))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Pages, c.Roles, c.Tenants, c.Factors = slices.Clone(c.Pages), slices.Clone(c.Roles), slices.Clone(c.Tenants), slices.Clone(c.Factors)
	return c, errors.Join(errs...)
}

// Set holds the rules that decide now. Make one with [Open] or [New], and end it with
// Close. All methods may be called concurrently. The zero Set guards everything with an
// invalid policy: the answer is a 500.
type Set struct {
	cfg   Config
	path  string // or "": the rules stay
	rules atomic.Pointer[revision]

	reloads, failed atomic.Uint64
	stale           atomic.Bool

	mu      sync.Mutex // held while rules are read and taken
	refused string     // the last refusal that was logged
	expired map[*Rule]bool

	holding sync.Mutex // held while a file is checked and taken, so that none slips by Hold
	held    map[any]func(*CheckOptions)
	routes  map[any][]Route // of the apps that were checked

	hooks  sync.Mutex // not held while they are called
	called []*func(before, after *File)

	close func()
}

// revision is a file and when it was read.
type revision struct {
	file *File
	read time.Time
}

// New returns a Set of rules that stay, such as embedded ones, or all that is wrong with
// the rules or the configuration.
func New(f *File, cfg Config) (*Set, error) {
	cfg, err := cfg.prepared()
	if err != nil {
		return nil, err
	}
	if f == nil || f.compiled == nil {
		return nil, errors.New("rules: the File was not made by Parse")
	}
	s := &Set{cfg: cfg, close: func() {}}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := s.admit(f)
	if err != nil {
		return nil, err
	}
	s.take(context.Background(), before, f)
	return s, nil
}

// File returns the rules that decide now.
func (s *Set) File() *File {
	if r := s.revision(); r != nil {
		return r.file
	}
	return &File{}
}

func (s *Set) revision() *revision {
	if s == nil {
		return nil
	}
	return s.rules.Load()
}

// Revision returns which rules decide now.
func (s *Set) Revision() Revision {
	r := s.revision()
	if r == nil {
		return Revision{}
	}
	return Revision{File: r.file.name, Hash: r.file.hash, Read: r.read}
}

// OnChange has a function called after each change of the rules, one call at a time. It
// must not call Reload or Close. The function that is returned ends that, also from within a
// call: none begins after it has returned.
func (s *Set) OnChange(changed func(before, after *File)) (stop func()) {
	s.hooks.Lock()
	defer s.hooks.Unlock()
	s.called = append(s.called, &changed)
	return func() {
		s.hooks.Lock()
		defer s.hooks.Unlock()
		s.called = slices.DeleteFunc(slices.Clone(s.called), func(f *func(before, after *File)) bool { return f == &changed })
	}
}

// Close ends following the file, and waits for a reload under way. The rules stay. It may
// be called again.
func (s *Set) Close() error {
	if s != nil && s.close != nil {
		s.close()
	}
	return nil
}

// Stats are counts since the Set was made, and its present state.
type Stats struct {
	// Hash is the short hash of the rules that decide, and Rules is how many they are,
	// with the default.
	Hash  string
	Rules int
	// Read is when they were read.
	Read time.Time
	// Reloads counts changes that were taken, and Failed attempts that were refused, as
	// one for each time that the file was looked at.
	Reloads, Failed uint64
	// Stale reports that the rules are older than the file: it has changed and has a
	// mistake, or it cannot be read.
	Stale bool
	// Expired is how many exemptions have ended, and NextExpiry when the next one does,
	// or zero.
	Expired    int
	NextExpiry time.Time
}

// Stats returns the figures.
func (s *Set) Stats() Stats {
	r := s.revision()
	if r == nil {
		return Stats{}
	}
	stats := Stats{
		Hash: r.file.ShortHash(), Rules: len(r.file.rules), Read: r.read,
		Reloads: s.reloads.Load(), Failed: s.failed.Load(), Stale: s.stale.Load(),
	}
	now := time.Now()
	for _, rule := range r.file.rules {
		switch {
		case rule.kind != Exempt:
		case rule.Expired(now):
			stats.Expired++
		case stats.NextExpiry.IsZero() || rule.expires.Before(stats.NextExpiry):
			stats.NextExpiry = rule.expires
		}
	}
	return stats
}

// Hold holds files against what is known of an app beside the Config: each that is read
// from now on, and the one that decides. Amend adds that to the options; what it added for
// the same key before no longer counts, and nil adds nothing. The error is what is wrong
// with the file that decides: then the key is as with nil. Packages that mount the rules
// call it. Amend must not call Hold, Reload or Close.
func (s *Set) Hold(key any, amend func(*CheckOptions)) error {
	r := s.revision()
	if r == nil {
		return errNoRules
	}
	s.holding.Lock()
	defer s.holding.Unlock()
	if s.held == nil {
		s.held = make(map[any]func(*CheckOptions))
	}
	delete(s.held, key)
	if amend == nil {
		return nil
	}
	s.held[key] = amend
	err := s.accepts(s.File())
	if err != nil {
		delete(s.held, key)
	}
	return err
}

// admit makes a file's rules those that decide, if it has no mistake for this app now, and
// returns what decided before.
func (s *Set) admit(f *File) (before *revision, err error) {
	s.holding.Lock()
	defer s.holding.Unlock()
	if err := s.accepts(f); err != nil {
		return nil, err
	}
	before = s.revision()
	s.rules.Store(&revision{f, time.Now()})
	return before, nil
}

// accepts returns what is wrong with a file for this app now. That an exemption has
// expired is not: its routes are guarded. It is called with the lock of holding held.
func (s *Set) accepts(f *File) error {
	options := CheckOptions{
		At: time.Now(), Pages: append(s.cfg.Enforcer.Pages(), s.cfg.Pages...),
		Roles: append([]string{}, s.cfg.Roles...), Tenants: s.cfg.Tenants, Factors: s.cfg.Factors,
	}
	for _, amend := range s.held {
		amend(&options)
	}
	found := f.Check(options)
	found = slices.DeleteFunc(found, func(m Mistake) bool { return m.Note || m.Code == codeExpired })
	if len(found) > 0 {
		return found
	}
	return nil
}

// take applies a file that has been admitted. It is called with the lock held, and returns
// the file that decided before, or nil.
func (s *Set) take(ctx context.Context, before *revision, f *File) *File {
	s.stale.Store(false)
	s.refused, s.expired = "", make(map[*Rule]bool)
	s.applyOnUnavailable(ctx, before, f)
	s.warnExpired(ctx)
	if before == nil {
		return nil
	}
	s.reloads.Add(1)
	s.callHooks(ctx, before.file, f)
	return before.file
}

// applyOnUnavailable tells the Enforcer what the file says of failing lookups. A file
// without the key says nothing, unless the one before had it. What the file before has
// opened is not opened once more: an operator may have closed it by hand.
func (s *Set) applyOnUnavailable(ctx context.Context, before *revision, f *File) {
	u, left := f.onUnavailable, time.Duration(0)
	switch {
	case u.Set:
		left = time.Until(u.InsecureAllowUntil)
	case before == nil || !before.file.onUnavailable.Set:
		return
	}
	if before != nil && left > 0 && before.file.onUnavailable.InsecureAllowUntil.Equal(u.InsecureAllowUntil) {
		return
	}
	what := echomfa.Refuse
	if left > 0 {
		what = echomfa.InsecureAllow
	}
	if err := s.cfg.Enforcer.SetOnUnavailable(what, min(left, echomfa.MaxInsecure)); err != nil {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelError, "mfa rules: on_unavailable could not be applied",
			slog.String("event", "rules_on_unavailable_failed"), slog.Any("error", err))
	}
}

// callHooks calls what waits for changes, and is called with the lock held. A panic of one
// ends nothing else.
func (s *Set) callHooks(ctx context.Context, before, after *File) {
	s.hooks.Lock()
	called := s.called
	s.hooks.Unlock()
	for _, hook := range called {
		s.hooks.Lock()
		stopped := !slices.Contains(s.called, hook)
		s.hooks.Unlock()
		if stopped {
			continue
		}
		func() {
			defer func() {
				if v := recover(); v != nil {
					s.cfg.Logger.LogAttrs(ctx, slog.LevelError, "mfa rules: an OnChange function panicked",
						slog.String("event", "rules_hook_panicked"), slog.String("panic", fmt.Sprint(v)))
				}
			}()
			(*hook)(before, after)
		}()
	}
}

// known reports whether the app has the values of an identity.
func (s *Set) known(who *Identity) error {
	if s.cfg.Roles != nil {
		for _, role := range who.Roles {
			if !slices.Contains(s.cfg.Roles, role) {
				return fmt.Errorf("rules: identity: unknown role %q", shortened(role))
			}
		}
	}
	if s.cfg.Tenants != nil && who.Tenant != "" && !slices.Contains(s.cfg.Tenants, who.Tenant) {
		return fmt.Errorf("rules: identity: unknown tenant %q", shortened(who.Tenant))
	}
	return nil
}
