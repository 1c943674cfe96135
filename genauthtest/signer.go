package genauthtest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"sync"
)

// signer signs tokens by RS256.
type signer struct {
	key *rsa.PrivateKey
	kid string
}

// processSigner makes the one key of the process: making an RSA key takes
// longer than a test should, and one for each server would gain nothing.
var processSigner = sync.OnceValues(newSigner) // a cache, read only

func newSigner() (*signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(key.N.Bytes())
	return &signer{key: key, kid: base64.RawURLEncoding.EncodeToString(sum[:])}, nil
}

// RotateKey makes the server sign with a new key from now on. The key set has the new
// key and those of before, until [Server.RetireKeys]. Tokens that were signed before
// stay good.
func (s *Server) RotateKey() {
	sig, err := newSigner()
	if err != nil {
		panic("genauthtest: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signers = slices.Insert(s.signers, 0, sig)
}

// RetireKeys leaves only the key that signs in the key set. The server still takes its
// tokens that were signed by another: programs that verify signatures no longer do.
func (s *Server) RetireKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signers = s.signers[:1:1]
}

// publicKeys is the key set.
func (s *Server) publicKeys() []jwk {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []jwk
	for _, sig := range s.signers {
		keys = append(keys, sig.public())
	}
	return keys
}

// sign signs a token of a kind. The lock is not held.
func (s *Server) sign(kind TokenKind, claims map[string]any) string {
	if kind == KindID && s.cfg.HS256IDTokens {
		return signHS256([]byte(s.cfg.AppSecret), claims)
	}
	s.mu.Lock()
	sig := s.signers[0]
	s.mu.Unlock()
	return sig.sign(claims)
}

// header is the head of a JWT. GenAuth's samples by HS256 have no kid.
type header struct {
	Alg string `json:"alg"`
	Typ string `json:"typ"`
	Kid string `json:"kid,omitempty"`
}

// signHS256 is RFC 7518, section 3.2.
func signHS256(secret []byte, claims map[string]any) string {
	input := signingInput(header{Alg: "HS256", Typ: "JWT"}, claims)
	mac := hmac.New(sha256.New, secret)
	_, _ = fmt.Fprint(mac, input) // documented never to fail
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func signingInput(h header, claims map[string]any) string {
	return base64.RawURLEncoding.EncodeToString(encode(h)) + "." + base64.RawURLEncoding.EncodeToString(encode(claims))
}

// sign returns a JWT in the compact form (RFC 7515 section 7.1).
func (s *signer) sign(claims map[string]any) string {
	input := signingInput(header{"RS256", "JWT", s.kid}, claims)
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		panic("genauthtest: " + err.Error()) // not possible with a key of 2048 bits
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// jwk is a public RSA key (RFC 7517, RFC 7518 section 6.3).
type jwk struct {
	E   string `json:"e"`
	N   string `json:"n"`
	Kty string `json:"kty"`
	Alg string `json:"alg"`
	Use string `json:"use"`
	Kid string `json:"kid"`
}

func (s *signer) public() jwk {
	return jwk{
		E:   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.key.E)).Bytes()),
		N:   base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()),
		Kty: "RSA",
		Alg: "RS256",
		Use: "sig",
		Kid: s.kid,
	}
}

// atHash is OpenID Connect Core section 3.1.3.6 for RS256.
func atHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
