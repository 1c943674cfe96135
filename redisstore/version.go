package redisstore

import (
	"errors"
	"strings"

	"github.com/echomfa/echomfa"
)

// version is what a Get has seen of the generations: under the newest secret,
// and, of what was invalidated, under the other one.
type version struct {
	newest, other seen
	bad           bool // the value under the newest secret could not be read
}

var errVersion = errors.New("redisstore: the version is not of this store")

// unreadable stands for a value that could not be read: whatever it claims, it
// is replaced.
const unreadable = "!"

func (v version) unreadable() string {
	if v.bad {
		return unreadable
	}
	return ""
}

func (v version) String() echomfa.StoreVersion {
	return echomfa.StoreVersion(strings.Join([]string{v.newest.token, v.newest.user, v.other.token, v.other.user, v.unreadable()}, ","))
}

func parseVersion(text echomfa.StoreVersion) (version, error) {
	parts := strings.Split(string(text), ",")
	if len(parts) != 5 || parts[4] != "" && parts[4] != unreadable {
		return version{}, errVersion
	}
	for _, part := range parts[:4] {
		if part != "" && !isGeneration(part) {
			return version{}, errVersion
		}
	}
	return version{seen{parts[0], parts[1]}, seen{parts[2], parts[3]}, parts[4] != ""}, nil
}
