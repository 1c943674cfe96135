package echomfa_test

// modelKnown are the deviations from the model that are known and not mended yet.
var modelKnown = [...]struct { //nolint:gochecknoglobals // a table
	id     string
	permit func(*view)
}{
	{"X11", func(v *view) { v.X11 = true }},
	{"X12", func(v *view) { v.X12 = true }},
	{"X13", func(v *view) { v.X13 = true }},
	{"X23", func(v *view) { v.X23 = true }},
}
