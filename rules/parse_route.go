package rules

import (
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

const maxPath = 512

// parseRoute reads a registered route: a path, after a method or not.
func (p *parser) parseRoute(n *yaml.Node, text string) (Route, bool) {
	method, path, hasMethod := strings.Cut(text, " ")
	if !hasMethod {
		method, path = AnyMethod, text
	}
	known := methodNames()
	if hasMethod && !slices.Contains(known[:], method) {
		suggestion := didYouMean(strings.ToUpper(method), known[:])
		switch {
		case method == AnyMethod || method == "*":
			suggestion = "leave it out: the path alone is for all methods"
		case suggestion == "" && method == strings.ToUpper(method):
			suggestion = otherMethod + " stands for all methods that are not known"
		}
		p.fail(at(n), "method", suggestion, "unknown method %q", shortened(method))
		return Route{}, false
	}
	return Route{method, path}, p.parsePath(n, path)
}

// parseUnder reads a path whose subtree is meant.
func (p *parser) parseUnder(n *yaml.Node, text string) (Route, bool) {
	path, _ := withoutHost(text)
	switch {
	case strings.Contains(text, " "):
		p.fail(at(n), "path", "use routes for single methods", "%q: under is for all methods", shortened(text))
		return Route{}, false
	case strings.HasSuffix(path, "/*"), strings.HasSuffix(path, "...}"):
		p.fail(at(n), "path", "under: ["+shortened(quoted(text[:strings.LastIndexByte(text, '/')]))+"] has all routes below it", "%q: under has no wildcard", shortened(text))
		return Route{}, false
	case path != "/" && strings.HasSuffix(path, "/"):
		p.fail(at(n), "path", "remove the last slash", "%q: under is a path without a slash at its end", shortened(text))
		return Route{}, false
	}
	return Route{AnyMethod, text}, p.parsePath(n, text)
}

func quoted(path string) string {
	if path == "" {
		path = "/"
	}
	return `"` + path + `"`
}

// parsePath reports whether a text may be a registered path, with or without a host.
func (p *parser) parsePath(n *yaml.Node, text string) bool {
	path, hasHost := withoutHost(text)
	host := text[:len(text)-len(path)]
	why, suggestion := "", ""
	switch {
	case len(text) > maxPath:
		why = "it is too long"
	case strings.Contains(text, "://"):
		why, suggestion = "it is a URL", "write the path as the app registers it"
	case path == "" || path[0] != '/':
		why, suggestion = "a path begins with a slash", "did you mean "+quoted("/"+strings.TrimLeft(path, "*"))+"?"
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		why = "it has a space"
	case strings.ContainsAny(text, "?#"):
		why, suggestion = "it is the text of a URL", "write the path as the app registers it"
	case hasHost && host != strings.ToLower(host):
		why, suggestion = "a host is in lower case", "did you mean "+quoted(strings.ToLower(host)+path)+"?"
	}
	if why == "" && hasHost {
		if p.hosts[host] = true; len(p.hosts) > maxHosts {
			why = "the file names too many hosts"
		}
	}
	if why != "" {
		p.fail(at(n), "path", suggestion, "%q: %s", shortened(text), why)
		return false
	}
	return true
}
