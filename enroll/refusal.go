package enroll

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"
	"slices"

	"github.com/echomfa/echomfa"
)

// RefusalConfig is the look of the pages that [RefusalPage] makes. It is copied:
// later changes have no effect. Every field is optional and means what the field of
// that name in [Config] means.
type RefusalConfig struct {
	// Brand is the look of the app.
	Brand Brand
	// Support says whom to ask; in one language, the key "support" of Messages.
	Support string
	// HostedURL is where users set up what the pages of this package cannot, such as their
	// face. The page does not link to it. Set it if your own pages set up all factors, too.
	// Default: the page says that such factors have to be asked for.
	HostedURL string
	// Language returns the language of a request as a tag. Default, and for "": what
	// Accept-Language prefers.
	Language func(r *http.Request) string
	// Messages change texts or add languages, by tag and key.
	Messages map[string]map[string]string
}

// RefusalPage returns what [echomfa.Config] has as RefusalPage: a page in the app's
// looks, the user's language and dark mode, that says what is missing and leads on, or
// offers to try again where that helps. The page has its style in it and needs no other
// request, so it is whole while the app is not well. The error is all that is wrong with
// the configuration.
func RefusalPage(cfg RefusalConfig) (func(*http.Request, echomfa.Refusal) (echomfa.RefusalPage, error), error) {
	brand := cfg.Brand.prepare()
	languages, messages := newLanguages(cfg.Messages)
	templates, err := newTemplates(nil)
	if err := errors.Join(brand, messages, err, wrongHostedURL(cfg.HostedURL)); err != nil {
		return nil, err
	}
	style := string(styleOf(cfg.Brand))
	return func(r *http.Request, about echomfa.Refusal) (echomfa.RefusalPage, error) {
		chosen := ""
		if cfg.Language != nil {
			chosen = cfg.Language(r)
		}
		p := refusalPage{
			Page:  &Page{Brand: cfg.Brand, Status: about.Status},
			About: about, CSS: template.CSS(style),
		}
		for _, types := range about.Missing {
			if cfg.HostedURL != "" || !slices.ContainsFunc(types, isHosted) {
				p.Missing = append(p.Missing, types)
			} else {
				p.Elsewhere = append(p.Elsewhere, types)
			}
		}
		p.speak(languages, languages.choose(r, chosen), cfg.Support)
		if p.Brand.LogoPath != "" {
			p.Brand.LogoPath = about.PathPrefix + p.Brand.LogoPath
		}
		made := echomfa.RefusalPage{Language: p.Lang, Style: style}
		name := "refusal"
		if about.Fragment {
			name, made.Style = "refusal-text", ""
		}
		var b bytes.Buffer
		err := templates.ExecuteTemplate(&b, name, &p)
		made.HTML = template.HTML(b.String())
		return made, err
	}, nil
}

// refusalPage is what the templates are given.
type refusalPage struct {
	*Page

	About echomfa.Refusal
	CSS   template.CSS
}
