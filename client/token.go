package client

// MaxTokenBytes is the length of the longest token that is sent to GenAuth.
const MaxTokenBytes = 8 << 10

// ValidToken reports whether token can be sent as a bearer token: a b64token of
// RFC 6750, section 2.1, of at most [MaxTokenBytes] bytes. That is one or more
// of the letters, the digits and "-._~+/", followed by any number of "=".
//
// It says nothing about whether GenAuth accepts the token. It allocates nothing.
func ValidToken(token string) bool {
	if len(token) > MaxTokenBytes {
		return false
	}
	n := 0
	for n < len(token) && isTokenByte(token[n]) {
		n++
	}
	if n == 0 {
		return false
	}
	for n < len(token) && token[n] == '=' {
		n++
	}
	return n == len(token)
}

func isTokenByte(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	case b == '-', b == '.', b == '_', b == '~', b == '+', b == '/':
		return true
	}
	return false
}
