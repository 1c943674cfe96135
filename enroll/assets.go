package enroll

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
)

//go:embed assets/*
var assetFiles embed.FS

// asset is a file that the pages need. It is the same for everybody.
type asset struct {
	contentType string
	body        []byte
}

// newAssets returns the files by their path below the base path. The path has a
// fingerprint in it, so that browsers may keep them.
func newAssets(brand Brand) (files map[string]asset, style, script string) {
	css := styleOf(brand)
	js := mustRead("assets/script.js")
	style, script = "/assets/"+fingerprint(css)+".css", "/assets/"+fingerprint(js)+".js"
	return map[string]asset{
		style:  {contentType: "text/css; charset=utf-8", body: css},
		script: {contentType: "text/javascript; charset=utf-8", body: js},
	}, style, script
}

// styleOf returns the style sheet in the color of an app.
func styleOf(brand Brand) []byte {
	return append([]byte(":root{--brand:"+brand.Color+";--brand-light:"+onDark(brand.Color)+"}\n"), mustRead("assets/style.css")...)
}

func mustRead(name string) []byte {
	raw, err := assetFiles.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return raw
}

func fingerprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	write(w, r, http.StatusOK, a.body)
}
