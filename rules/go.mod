module github.com/echomfa/echomfa/rules

go 1.25.0

require (
	github.com/echomfa/echomfa v0.0.0
	github.com/fsnotify/fsnotify v1.10.1
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v4 v4.0.0
)

// The tree around this module, for work on both at once. Publishing drops it:
// see CONTRIBUTING.md.
replace github.com/echomfa/echomfa => ../
