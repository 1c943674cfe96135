package rules

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// fresh is an element of a path that no file has: it stands for all that a file does not
// name.
const fresh = "\x00"

// spot is a route that stands for others.
type spot struct{ host, path string }

// spots yields routes that stand for all there are: every path that the rules name, for
// each path of under something below it and something that begins with it and a *, and what
// nothing matches; and for each host what its own rules match of that. Two routes that no
// spot tells apart meet the same rules.
func spots(files ...*compiled) iter.Seq[spot] {
	count := 2
	for _, c := range files {
		for _, paths := range c.exact {
			count += len(paths)
		}
		for _, n := range c.under {
			n.walk("", func(string) { count += 3 })
		}
	}
	all := append(make([]spot, 0, count), spot{}, spot{"", "/" + fresh})
	wildcards := make(map[string]bool) // paths that end with a *, on any host
	name := func(host, path string) {
		if all = append(all, spot{host, path}); strings.HasSuffix(path, "*") {
			wildcards[path] = true
		}
	}
	for _, c := range files {
		for host, paths := range c.exact {
			for path := range paths {
				name(host, path)
			}
		}
		for host, n := range c.under {
			n.walk("", func(path string) { name(host, path) })
		}
	}
	for _, c := range files {
		for host, n := range c.under {
			n.walk("", func(path string) {
				if path == "/" {
					all = append(all, spot{host, "/" + fresh})
					return
				}
				all = append(all, spot{host, path + "/" + fresh}, spot{host, path + "*"})
				if wildcards[path+"*"] {
					all = append(all, spot{host, path + "*" + fresh})
				}
			})
		}
	}
	slices.SortFunc(all, spot.compare)
	return withHosts(slices.Compact(all), files)
}

// withHosts yields sorted spots, and those of hosts that meet more than they do without.
func withHosts(all []spot, files []*compiled) iter.Seq[spot] {
	return func(yield func(spot) bool) {
		hosts := hostsOf(files)
		for _, at := range all {
			if !yield(at) {
				return
			}
			if at.host != "" || at.path == "" {
				continue
			}
			for _, host := range hosts {
				on := spot{host, at.path}
				if _, known := slices.BinarySearchFunc(all, on, spot.compare); known {
					continue
				}
				if slices.ContainsFunc(files, func(c *compiled) bool { return c.reaches(on) }) && !yield(on) {
					return
				}
			}
		}
	}
}

func (at spot) compare(other spot) int {
	return cmp.Or(strings.Compare(at.host, other.host), strings.Compare(at.path, other.path))
}

// hostsOf returns the hosts that rules name.
func hostsOf(files []*compiled) []string {
	hosts := make(map[string]bool)
	for _, c := range files {
		for host := range c.exact {
			hosts[host] = true
		}
		for host := range c.under {
			hosts[host] = true
		}
	}
	delete(hosts, "")
	return slices.Sorted(maps.Keys(hosts))
}

// reaches reports whether a path of under that names a host matches a route of that host.
// If none does, the route meets what it meets without its host.
func (c *compiled) reaches(at spot) bool {
	n := c.under[at.host]
	switch {
	case n == nil:
		return false
	case len(n.entries) > 0:
		return true
	}
	for element := range strings.SplitSeq(at.path[1:], "/") {
		if len(n.glued(nil, element)) > 0 {
			return true
		}
		if n = n.children[element]; n == nil {
			return false
		}
		if len(n.entries) > 0 {
			return true
		}
	}
	return false
}

// walk calls visit with the path of each node that rules match the subtree of.
func (n *node) walk(path string, visit func(path string)) {
	if len(n.entries) > 0 {
		visit(cmp.Or(path, "/"))
	}
	for element, child := range n.children {
		child.walk(path+"/"+element, visit)
	}
}
