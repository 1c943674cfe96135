package rules

import "github.com/echomfa/echomfa/rules/internal/spelling"

// didYouMean is a suggestion, or "".
func didYouMean(word string, known []string) string { return spelling.DidYouMean(word, known) }
