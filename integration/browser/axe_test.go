//go:build slow

package browser_test

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/npmtest"
)

//nolint:gochecknoglobals // a flag
var screenshots = flag.String("screenshots", "", "a folder for the pictures of the pages")

// assertAccessible looks for violations of WCAG 2.2, level A and AA, with axe-core, as npm
// installs it.
func (tb *tab) assertAccessible(name string) {
	tb.t.Helper()
	axe, err := os.ReadFile(filepath.Join(npmtest.Install(tb.t, filepath.Join("testdata", "axe")), "axe-core", "axe.min.js"))
	require.NoError(tb.t, err)
	type result struct {
		Passes     int
		Violations []string
	}
	got := eval[result](tb, string(axe)+`;axe.run(document, {
		runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
	}).then((found) => ({
		passes: found.passes.length,
		violations: found.violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.map((n) => n.html).join("\n")),
	}))`)
	assert.Empty(tb.t, got.Violations, "%s, for axe", name)
	assert.Greater(tb.t, got.Passes, 5, "%s: axe has looked at it", name)
}

// takePictures takes a picture of the page in a large and in a small window, if they
// are asked for: of all of it, but for what is empty beside the card of a large window.
// Half as wide as a README, the card is still to be read.
func (tb *tab) takePictures(name string) {
	tb.t.Helper()
	if *screenshots == "" {
		return
	}
	for _, window := range []struct {
		name          string
		width, height int64
	}{{"phone", 390, 844}, {"desktop", 1280, 800}} {
		tb.resize(window.width, window.height)
		tb.wait(fmt.Sprintf("window.innerWidth === %d", window.width))
		// The portal's own pages have a header from side to side, and no card.
		clip := eval[page.Viewport](tb, `(() => {
			const all = {x: 0, y: 0, width: innerWidth, height: Math.max(innerHeight, document.documentElement.scrollHeight), scale: 1};
			if (innerWidth < 600 || !document.querySelector("header.brand")) return all;
			const parts = [...document.querySelectorAll("header.brand, main, footer")].map((e) => e.getBoundingClientRect());
			const left = Math.min(...parts.map((r) => r.left)) - 16, right = Math.max(...parts.map((r) => r.right)) + 16;
			return {...all, x: left, width: right - left, height: Math.min(all.height, Math.max(...parts.map((r) => r.bottom)) + scrollY + 24)};
		})()`)
		shot := call(tb, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Clip: &clip, CaptureBeyondViewport: &[]bool{true}[0],
		})
		require.NoError(tb.t, os.WriteFile(filepath.Join(*screenshots, name+"-"+window.name+".png"), shrink(tb.t, shot.Data), 0o644))
	}
}

// shrink makes a picture smaller: all but the 256 most frequent colors become
// the next best of those.
func shrink(t *testing.T, raw []byte) []byte {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(raw))
	require.NoError(t, err)
	pixels := image.NewRGBA(picture.Bounds())
	draw.Draw(pixels, pixels.Bounds(), picture, image.Point{}, draw.Src)
	at := func(i int) color.RGBA {
		return color.RGBA{pixels.Pix[4*i], pixels.Pix[4*i+1], pixels.Pix[4*i+2], pixels.Pix[4*i+3]}
	}
	few := image.NewPaletted(pixels.Bounds(), nil)
	counts := map[color.RGBA]int{}
	for i := range few.Pix {
		counts[at(i)]++
	}
	colors := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return counts[b] - counts[a] })
	for _, c := range colors[:min(256, len(colors))] {
		few.Palette = append(few.Palette, c)
	}
	index := map[color.RGBA]uint8{}
	for _, c := range colors {
		index[c] = uint8(few.Palette.Index(c))
	}
	for i := range few.Pix {
		few.Pix[i] = index[at(i)]
	}
	var b bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, few))
	return b.Bytes()
}
