package genauthtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
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

// sign returns a JWT in the compact form (RFC 7515 section 7.1).
func (s *signer) sign(claims map[string]any) string {
	header := struct {
		Alg string `json:"alg"`
		Typ string `json:"typ"`
		Kid string `json:"kid"`
	}{"RS256", "JWT", s.kid}
	input := base64.RawURLEncoding.EncodeToString(encode(header)) + "." + base64.RawURLEncoding.EncodeToString(encode(claims))
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
