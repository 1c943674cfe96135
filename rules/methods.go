package rules

import (
	"math/bits"
	"strings"
)

// methodSet is a set of methods: a bit for each.
type methodSet uint16

// methodNames are the methods of RFC 9110, RFC 5789 and RFC 10008, and what all others
// are called. The place of a method is its bit.
func methodNames() [methods]string {
	return [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "QUERY", otherMethod}
}

const (
	methods     = 11
	allMethods  = methodSet(1<<methods - 1)
	otherMethod = "_OTHER"
	get         = 0
	head        = 1
)

// methodOf returns the place of a request's method.
func methodOf(method string) int {
	switch method {
	case "GET":
		return get
	case "HEAD":
		return head
	case "POST":
		return 2
	case "PUT":
		return 3
	case "PATCH":
		return 4
	case "DELETE":
		return 5
	case "CONNECT":
		return 6
	case "OPTIONS":
		return 7
	case "TRACE":
		return 8
	case "QUERY":
		return 9
	}
	return methods - 1
}

// registeredMethods returns the methods by which requests reach a route that was
// registered with a method.
func registeredMethods(method string) methodSet {
	switch method {
	case "", "*", AnyMethod, "echo_route_any", "echo_route_not_found":
		return allMethods
	}
	return coveredBy(methodOf(method))
}

// coveredBy returns what a method stands for in a rule and in a router: GET for HEAD, too.
func coveredBy(method int) methodSet {
	if method == get {
		return 1<<get | 1<<head
	}
	return 1 << method
}

func (s methodSet) has(method int) bool { return s&(1<<method) != 0 }

// names returns the methods, or AnyMethod alone if they are all.
func (s methodSet) names() []string {
	if s == allMethods {
		return []string{AnyMethod}
	}
	names := make([]string, 0, bits.OnesCount16(uint16(s)))
	for method, name := range methodNames() {
		if s.has(method) {
			names = append(names, name)
		}
	}
	return names
}

// String returns the names with a bar between them.
func (s methodSet) String() string { return strings.Join(s.names(), "|") }

// withoutHost returns the path of a route, which may begin with a host.
func withoutHost(route string) (path string, hasHost bool) {
	if route == "" || route[0] == '/' {
		return route, false
	}
	if slash := strings.IndexByte(route, '/'); slash > 0 {
		return route[slash:], true
	}
	return route, false
}

// splitHost returns the host of a route, or "", and its path.
func splitHost(route string) (host, path string) {
	path, _ = withoutHost(route)
	return route[:len(route)-len(path)], path
}
