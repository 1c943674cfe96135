// Command app is what a test builds: an Echo v5 app with rules.
package main

import (
	"log"

	"github.com/labstack/echo/v5"

	"github.com/echomfa/echomfa/rules/rulesecho5"
)

func main() {
	e := echo.New()
	set, err := rulesecho5.New(rulesecho5.Config{})
	if err != nil {
		log.Fatal(err)
	}
	set.Install(e)
}
