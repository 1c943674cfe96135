// Package spelling finds the word that a misspelled one stands for.
package spelling

// Nearest returns the known word of which another may be a misspelling: it differs in two
// letters at most, and in fewer than half of them.
func Nearest(word string, known []string) (best string, found bool) {
	least := min(3, (len(word)+1)/2)
	for _, candidate := range known {
		if extra := len(word) - len(candidate); extra > 2 || extra < -2 {
			continue // a text may be long
		}
		if d := distance(word, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

// distance is the number of letters to add, remove or change, or to swap with their
// neighbor.
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// DidYouMean is a suggestion, or "".
func DidYouMean(word string, known []string) string {
	if near, ok := Nearest(word, known); ok {
		return "did you mean " + near + "?"
	}
	return ""
}
