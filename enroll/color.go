package enroll

import (
	"fmt"
	"math"
	"strconv"
)

// contrastToWhite returns the contrast of a color such as "#0b57d0" to white,
// from 1 to 21 (WCAG 2.2, "contrast ratio").
func contrastToWhite(color string) (float64, error) {
	rgb, err := strconv.ParseUint(color[min(1, len(color)):], 16, 24)
	if err != nil || len(color) != 7 || color[0] != '#' {
		return 0, fmt.Errorf(`%q is not a color such as %q`, color, defaultColor)
	}
	luminance := 0.2126*linear(rgb>>16) + 0.7152*linear(rgb>>8) + 0.0722*linear(rgb)
	return 1.05 / (luminance + 0.05), nil
}

// linear returns how much light the lowest byte of an sRGB color stands for.
func linear(component uint64) float64 {
	c := float64(component&0xff) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}
