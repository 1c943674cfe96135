package enroll

import (
	"fmt"
	"math"
	"strconv"
)

// contrastToWhite returns the contrast of a color such as "#0b57d0" to white,
// from 1 to 21 (WCAG 2.2, "contrast ratio").
func contrastToWhite(color string) (float64, error) {
	rgb, err := parseColor(color)
	if err != nil {
		return 0, err
	}
	return 1.05 / (luminance(rgb) + 0.05), nil
}

func parseColor(color string) (uint64, error) {
	rgb, err := strconv.ParseUint(color[min(1, len(color)):], 16, 24)
	if err != nil || len(color) != 7 || color[0] != '#' {
		return 0, fmt.Errorf(`%q is not a color such as %q`, color, defaultColor)
	}
	return rgb, nil
}

func luminance(rgb uint64) float64 {
	return 0.2126*linear(rgb>>16) + 0.7152*linear(rgb>>8) + 0.0722*linear(rgb)
}

// darkCard is what is behind the text in the dark.
const darkCard = 0x1d1d22

// onDark returns a color mixed with as much white as it takes to be read in the dark. It
// has been parsed.
func onDark(color string) string {
	rgb, _ := parseColor(color)
	for white := uint64(0); ; white += 5 {
		mixed := uint64(0)
		for _, shift := range []uint64{16, 8, 0} {
			component := rgb >> shift & 0xff
			mixed |= (component + (0xff-component)*white/100) << shift
		}
		if (luminance(mixed)+0.05)/(luminance(darkCard)+0.05) >= 7 {
			return fmt.Sprintf("#%06x", mixed)
		}
	}
}

// linear returns how much light the lowest byte of an sRGB color stands for.
func linear(component uint64) float64 {
	c := float64(component&0xff) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}
