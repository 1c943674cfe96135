package rules

import (
	"log/slog"
	"time"

	"github.com/echomfa/echomfa"
)

// Config configures a [Set].
type Config struct {
	// Enforcer is the one whose mounts the rules guard: on_unavailable of the file is
	// applied to it, and its EnrollURL and LoginURL must not be guarded, or the file is
	// refused. Required.
	Enforcer *echomfa.Enforcer
	// Pages are paths, beside EnrollURL and LoginURL, that users without a factor must
	// reach. Optional.
	Pages []string
	// Roles and Tenants are what the app's identities may have: another value in a file
	// is a mistake in it, and in an Identity a 500. Optional. Default for Roles: a rule
	// with a role is a mistake. Default for Tenants: any.
	Roles, Tenants []string
	// Poll is how often the file's content is looked at, beside the notifications of the
	// operating system, which do not come on every file system. Optional. Default 30 s.
	Poll time.Duration
	// Logger gets a line for each reload, also one that fails. Optional. Default: nothing
	// is logged.
	Logger *slog.Logger
}

// Set holds the rules that decide now. Make one with [Open] or [New], and end it with
// Close. All methods may be called concurrently. The zero Set guards everything with an
// invalid policy: the answer is a 500.
type Set struct{ set }

// Open reads a file, and follows its changes until Close. A changed file that has a
// mistake changes nothing: the rules read last stay, and a line in the log says so. The
// error is a [Mistakes] if the file has mistakes.
func Open(path string, cfg Config) (*Set, error) { return open(path, cfg) }

// New returns a Set of rules that stay, such as embedded ones.
func New(f *File, cfg Config) (*Set, error) { return newSet(f, cfg) }

// File returns the rules that decide now.
func (s *Set) File() *File { return s.file() }

// Revision returns the hash of the rules that decide now, and when they were read.
func (s *Set) Revision() Revision { return s.revision() }

// Reload reads the file now, and returns what is wrong with it: then the rules stay. It
// does nothing for a Set of New.
func (s *Set) Reload() error { return s.reload() }

// OnChange has a function called after each change of the rules, one call at a time. The
// function that it returns ends that.
func (s *Set) OnChange(changed func(before, after *File)) (stop func()) { return s.onChange(changed) }

// Stats returns the figures of reloads.
func (s *Set) Stats() Stats { return s.stats() }

// Close ends following the file, and waits for a reload under way. The rules stay.
func (s *Set) Close() error { return s.close() }

// Stats are counts since the Set was made, and its present state.
type Stats struct {
	// Hash is the short hash of the rules that decide.
	Hash string
	// Rules is how many there are, with the default.
	Rules int
	// Read is when they were read.
	Read time.Time
	// Reloads counts changes that were taken, and Failed those that were refused.
	Reloads, Failed uint64
	// Stale reports that the file has changed and that the change was refused, or that the
	// file cannot be read: the rules are older than the file.
	Stale bool
	// Expired is how many exemptions have ended, and NextExpiry when the next one does;
	// zero if there is none.
	Expired    int
	NextExpiry time.Time
}
