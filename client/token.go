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
	// Access tokens have a thousand bytes and more, and this is done for each
	// request: eight bytes at a time, and what is left one by one.
	n := 0
	for ; n+8 <= len(token); n += 8 {
		t := token[n : n+8]
		if tokenBytes[t[0]]&tokenBytes[t[1]]&tokenBytes[t[2]]&tokenBytes[t[3]]&
			tokenBytes[t[4]]&tokenBytes[t[5]]&tokenBytes[t[6]]&tokenBytes[t[7]] == 0 {
			break
		}
	}
	for n < len(token) && tokenBytes[token[n]] != 0 {
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

// tokenBytes has a 1 for each byte that isTokenByte.
//
//nolint:gochecknoglobals // a table that never changes
var tokenBytes = func() (table [256]uint8) {
	for b := range table {
		if isTokenByte(byte(b)) {
			table[b] = 1
		}
	}
	return table
}()

func isTokenByte(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	case b == '-', b == '.', b == '_', b == '~', b == '+', b == '/':
		return true
	}
	return false
}
