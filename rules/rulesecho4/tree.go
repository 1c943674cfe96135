package rulesecho4

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/labstack/echo/v4"
)

// how a route has come into a router.
type how uint8

const (
	added    how = iota // by a method of Echo or of a Group
	bypassed            // by [echo.Router.Add], which tells nobody
)

// routesOf returns all routes of an app. Echo lists those that were added by its methods.
// The others are in the tree of the router only, which this reads by reflection: a
// version of Echo whose tree is another one is an error.
func routesOf(e *echo.Echo) (map[place]how, error) {
	byEcho, err := handlerOfEcho()
	if err != nil {
		return nil, err
	}
	found := make(map[place]how)
	var errs []error
	for host, router := range withDefault(e) {
		for _, r := range router.Routes() {
			found[place{host, r.Method, r.Path}] = added
		}
		errs = append(errs, walk(reflect.ValueOf(router).Elem().FieldByName("tree"), func(method, path string, handler uintptr) {
			if handler != byEcho {
				found[place{host, method, path}] = bypassed
			}
		}))
	}
	return found, errors.Join(errs...)
}

// withDefault returns the routers by host, the default one without.
func withDefault(e *echo.Echo) map[string]*echo.Router {
	routers := make(map[string]*echo.Router, len(e.Routers())+1)
	maps.Copy(routers, e.Routers())
	routers[""] = e.Router()
	return routers
}

// handlerOfEcho returns the code pointer of the handler that Echo's methods give a router:
// a closure that runs the middleware of the route.
func handlerOfEcho() (uintptr, error) {
	e := echo.New()
	e.GET("/", echo.NotFoundHandler)
	var pointer uintptr
	err := walk(reflect.ValueOf(e.Router()).Elem().FieldByName("tree"), func(_, _ string, handler uintptr) { pointer = handler })
	if err == nil && pointer == 0 {
		err = errUnknownTree
	}
	return pointer, err
}

var errUnknownTree = errors.New("rulesecho4: this version of Echo keeps its routes in a way that is not known here")

// walk calls found for each route of a node and of those below it.
func walk(node reflect.Value, found func(method, path string, handler uintptr)) (err error) {
	defer func() {
		if v := recover(); v != nil { // of reflect: a field has another type
			err = fmt.Errorf("%w: %v", errUnknownTree, v)
		}
	}()
	return walkNode(node, found)
}

func walkNode(node reflect.Value, found func(method, path string, handler uintptr)) error {
	if !node.IsValid() || node.Kind() != reflect.Pointer {
		return errUnknownTree
	}
	if node.IsNil() {
		return nil
	}
	node = node.Elem()
	report := func(method string, route reflect.Value) {
		if !route.IsNil() {
			route = route.Elem()
			found(method, route.FieldByName("ppath").String(), route.FieldByName("handler").Pointer())
		}
	}
	report(echo.RouteNotFound, node.FieldByName("notFoundHandler"))
	methods := node.FieldByName("methods").Elem()
	known := 0
	for i := range methods.NumField() {
		field := methods.Field(i)
		switch field.Kind() {
		case reflect.Pointer:
			report(strings.ToUpper(methods.Type().Field(i).Name), field)
			known++
		case reflect.Map:
			for _, method := range field.MapKeys() {
				report(method.String(), field.MapIndex(method))
			}
		case reflect.String: // allowHeader
		default:
			return errUnknownTree
		}
	}
	if known == 0 {
		return errUnknownTree
	}
	children := node.FieldByName("staticChildren")
	for i := range children.Len() {
		if err := walkNode(children.Index(i), found); err != nil {
			return err
		}
	}
	return errors.Join(walkNode(node.FieldByName("paramChild"), found), walkNode(node.FieldByName("anyChild"), found))
}
