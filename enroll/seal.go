package enroll

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/digest"
)

// state is what a step needs of the one before. It goes to the browser and
// comes back in a hidden field, sealed.
type state struct {
	// ID is that of the enrollment in the addresses of its pages.
	ID   string            `json:"id,omitempty"`
	Type client.FactorType `json:"type"`
	// ProvenUntil is how long it is taken for granted that the user is there,
	// and so how long the state is good.
	ProvenUntil time.Time `json:"proven_until"`
	// Had is how many factors of the type the user had before, and HadApp says
	// that there was an authenticator app, whose code is what proved it.
	Had    int  `json:"had,omitempty"`
	HadApp bool `json:"had_app,omitempty"`
	// Begun is when Token was asked for, and Token what GenAuth calls the
	// enrollment token.
	Begun time.Time `json:"begun,omitzero"`
	Token string    `json:"token,omitempty"`
	// KeyURI is the otpauth URI of an authenticator app, and Recovery the code
	// for when it is lost.
	KeyURI   string `json:"key_uri,omitempty"`
	Recovery string `json:"recovery,omitempty"`
	// Region, Phone and Email are where a code goes.
	Region string `json:"region,omitempty"`
	Phone  string `json:"phone,omitempty"`
	Email  string `json:"email,omitempty"`
	// Done says that the factor is enrolled and only the recovery code is left
	// to be saved, for Account.
	Done    bool   `json:"done,omitempty"`
	Account string `json:"account,omitempty"`
}

// maxSealedBytes is more than any state has.
const maxSealedBytes = 16 << 10

// errState is the answer to every state that is not good, whatever is wrong
// with it.
var errState = errors.New("enroll: the state is not one of ours, or too old")

// sealer encrypts states. It may be used by several goroutines at once.
type sealer struct {
	app         string // whose tokens they are
	newestFirst []cipher.AEAD
}

func newSealer(app string, keys [][]byte) (*sealer, error) {
	s := &sealer{app: app}
	for _, key := range keys {
		derived, err := hkdf.Key(sha256.New, key, nil, "echomfa/enroll state v1", 32)
		if err != nil {
			return nil, fmt.Errorf("enroll: StateKeys: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("enroll: StateKeys: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("enroll: StateKeys: %w", err)
		}
		s.newestFirst = append(s.newestFirst, aead)
	}
	return s, nil
}

// What is sealed for one purpose does not open for another.
const (
	forForms = ""
	forPages = "page"
)

// seal returns a state as a form can carry it. It opens only beside an access token of
// the same user of the same app, which may have been renewed meanwhile, or beside the
// same token if that names nobody.
func (s *sealer) seal(st *state, accessToken string) string {
	return s.sealAs(forForms, st, accessToken)
}

// sealPage returns what a page shows, sealed like a state.
func (s *sealer) sealPage(page *shown, accessToken string) string {
	return s.sealAs(forPages, page, accessToken)
}

func (s *sealer) sealAs(purpose string, v any, accessToken string) string {
	plain, err := json.Marshal(v)
	if err != nil {
		panic(err) // it holds strings and times
	}
	return base64.RawURLEncoding.EncodeToString(s.newestFirst[0].Seal(nil, nil, plain, s.owner(purpose, accessToken)))
}

// fits returns an error for a state that no form could bring back: the texts in
// it are GenAuth's.
func (s *sealer) fits(st *state) error {
	if len(s.seal(st, "")) > maxSealedBytes {
		return client.ErrMalformed
	}
	return nil
}

// open returns the state in a form's field.
func (s *sealer) open(sealed, accessToken string, now time.Time) (*state, error) {
	var st state
	if !s.openAs(forForms, sealed, accessToken, &st) || !now.Before(st.ProvenUntil) {
		return nil, errState
	}
	return &st, nil
}

// openPage returns what a page shows.
func (s *sealer) openPage(sealed, accessToken string, now time.Time) (*shown, error) {
	var page shown
	if !s.openAs(forPages, sealed, accessToken, &page) || !now.Before(page.Until) {
		return nil, errState
	}
	return &page, nil
}

func (s *sealer) openAs(purpose, sealed, accessToken string, into any) bool {
	if len(sealed) > maxSealedBytes {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return false
	}
	for _, aead := range s.newestFirst {
		plain, err := aead.Open(nil, nil, raw, s.owner(purpose, accessToken))
		if err == nil {
			return json.Unmarshal(plain, into) == nil
		}
	}
	return false
}

// owner is what a state is bound to: it is authenticated and not encrypted. The digest
// only tells users apart: nobody sees it. The claim is unverified, but GenAuth has
// accepted the token before a state is opened.
func (s *sealer) owner(purpose, accessToken string) []byte {
	kind, name := "token", accessToken
	if c, err := claims.Parse(accessToken); err == nil && c.Subject != "" {
		kind, name = "user", c.Subject
	}
	return append(digestOf(string(digest.AppendPart(digest.AppendPart(digest.AppendPart(nil, kind), s.app), name))), purpose...)
}

func digestOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
