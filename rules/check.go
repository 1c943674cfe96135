package rules

import "time"

// CheckOptions are what the time and the app add to what a file says.
type CheckOptions struct {
	// At is the time to check by. Required.
	At time.Time
	// Pages are the paths of the pages that users without a factor must reach.
	Pages []string
	// Roles and Tenants are the values that the app's identities have. Nil: they are not
	// compared.
	Roles, Tenants []string
	// Routes are the app's registered routes. Nil: it is not known which there are.
	Routes []Route
}

// Check returns what is wrong with a file at a time and for an app, all at once: exemptions
// that have expired, enrollment and sign-in pages that are guarded, roles that nobody
// has, and with Routes also rules that no route meets, and as notes the routes that only
// the default meets.
func (f *File) Check(opts CheckOptions) Mistakes { return f.check(opts) }

// Relation compares what is asked for before and after a change.
type Relation uint8

// The relations. The zero value is Incomparable.
const (
	// Incomparable: some users are asked for more, and some for less.
	Incomparable Relation = iota
	// Equal: the same factors satisfy both.
	Equal
	// Stricter: whoever satisfies the new rules satisfies the old ones.
	Stricter
	// Looser: whoever satisfies the old rules satisfies the new ones.
	Looser
)

// String returns the relation in lower case, such as "stricter".
func (r Relation) String() string {
	return [...]string{"incomparable", "equal", "stricter", "looser"}[r]
}

// Change is how a change of the file changes what one route requires.
type Change struct {
	Methods  []string
	Path     string
	Before   Match
	After    Match
	Relation Relation
}

// Diff compares two files by what routes require, at a time. Without routes (nil) it
// compares every path that one of the files names, and what is below it. Routes for which
// nothing changes are left out.
func Diff(before, after *File, routes []Route, at time.Time) []Change {
	return diff(before, after, routes, at)
}

// Schema returns the JSON Schema of the format, for editors. The slice is the caller's.
func Schema() []byte { return schema() }
