module github.com/echomfa/echomfa/enroll

go 1.25.0

require (
	github.com/echomfa/echomfa v0.0.0
	github.com/labstack/echo/v4 v4.16.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	rsc.io/qr v0.2.0
)

// The tree around this module, for work on both at once. Publishing drops it:
// see CONTRIBUTING.md.
replace github.com/echomfa/echomfa => ../
