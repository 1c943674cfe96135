package enroll

import (
	_ "embed"
	"strings"
	"sync"
)

// Region is a choice of a country calling code.
type Region struct {
	// ID is the two letters of ISO 3166-1, and Code the calling code, such as
	// "+86".
	ID, Code string
	// Name is the region's name in the language of the page.
	Name string
}

// regionsTSV has a line for each region: letters, calling code, and the names in
// English and Chinese, as the Unicode CLDR has them.
//
//go:embed regions.tsv
var regionsTSV string

// regions returns all regions with their names in English and Chinese.
//
//nolint:gochecknoglobals // a table that never changes, read once
var regions = sync.OnceValue(func() [][4]string {
	var table [][4]string
	for line := range strings.Lines(regionsTSV) {
		if fields := strings.Split(strings.TrimSpace(line), "\t"); len(fields) == 4 {
			table = append(table, [4]string(fields))
		}
	}
	return table
})

// callingCode returns the calling code of a region, or "".
func callingCode(id string) string {
	for _, row := range regions() {
		if row[0] == id {
			return row[1]
		}
	}
	return ""
}

// regionsIn returns the regions with their names in a language.
func regionsIn(tag string) []Region {
	column := 2
	if primary(tag) == "zh" {
		column = 3
	}
	list := make([]Region, 0, len(regions()))
	for _, row := range regions() {
		list = append(list, Region{ID: row[0], Code: row[1], Name: row[column]})
	}
	return list
}
