package enroll

import (
	_ "embed"
	"slices"
	"strconv"
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

// regionsTSV has a line for each region: letters, calling code, the names in English and
// Chinese, as the Unicode CLDR has them, and the place of the Chinese name by its
// pronunciation. The lines are in the order of the English names. Which order that is,
// takes tables that are larger than all of this: they are in no program that shows a page.
//
//go:embed regions.tsv
var regionsTSV string

// The columns of regionsTSV.
const (
	regionID = iota
	regionCode
	regionEnglish
	regionChinese
	regionPlace
	regionColumns
)

// regions returns all regions in the order of their English names.
//
//nolint:gochecknoglobals // a table that never changes, read once
var regions = sync.OnceValue(func() [][]string {
	var table [][]string
	for line := range strings.Lines(regionsTSV) {
		if fields := strings.Split(strings.TrimSpace(line), "\t"); len(fields) == regionColumns {
			table = append(table, fields)
		}
	}
	return table
})

// inChinese returns all regions in the order of their Chinese names.
//
//nolint:gochecknoglobals // a table that never changes, read once
var inChinese = sync.OnceValue(func() [][]string {
	place := func(row []string) int {
		n, _ := strconv.Atoi(row[regionPlace]) // a test has looked at all of them
		return n
	}
	return slices.SortedFunc(slices.Values(regions()), func(a, b []string) int { return place(a) - place(b) })
})

// callingCode returns the calling code of a region, or "".
func callingCode(id string) string {
	for _, row := range regions() {
		if row[regionID] == id {
			return row[regionCode]
		}
	}
	return ""
}

// regionsIn returns the regions with their names in a language, in its order.
func regionsIn(tag string) []Region {
	table, column := regions(), regionEnglish
	if primary(tag) == "zh" {
		table, column = inChinese(), regionChinese
	}
	list := make([]Region, 0, len(table))
	for _, row := range table {
		list = append(list, Region{ID: row[regionID], Code: row[regionCode], Name: row[column]})
	}
	return list
}
