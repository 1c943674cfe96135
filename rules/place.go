package rules

// place is a line and a column, from 1. The zero value is none.
type place struct{ line, column int }
