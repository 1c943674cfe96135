package redisstore

import (
	"errors"
	"strings"

	"github.com/echomfa/echomfa"
)

// version is what a Get has seen of the generations: under the newest secret,
// and, of what was invalidated, under the other one.
type version struct{ newest, other seen }

var errVersion = errors.New("redisstore: the version is not of this store")

func (v version) String() echomfa.StoreVersion {
	return echomfa.StoreVersion(strings.Join([]string{v.newest.token, v.newest.user, v.other.token, v.other.user}, ","))
}

func parseVersion(text echomfa.StoreVersion) (version, error) {
	parts := strings.Split(string(text), ",")
	if len(parts) != 4 {
		return version{}, errVersion
	}
	for _, part := range parts {
		if part != "" && !isGeneration(part) {
			return version{}, errVersion
		}
	}
	return version{seen{parts[0], parts[1]}, seen{parts[2], parts[3]}}, nil
}
