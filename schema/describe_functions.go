package schema

import (
	"sort"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// FunctionDoc describes one function.
type FunctionDoc struct {
	Name     string
	Doc      string
	Params   []ParamDoc
	Variadic *ParamDoc // takes any number of these at the end
	Returns  cty.Type
}

// ParamDoc describes one parameter of a function.
type ParamDoc struct {
	Name string
	Doc  string
	Type cty.Type
	Null bool // may be null
}

// describeFunctions reads the signatures of all functions, sorted by name.
func describeFunctions() []FunctionDoc {
	funcs := newScope(nil, newFiles()).funcs
	out := make([]FunctionDoc, 0, len(funcs))
	for name, f := range funcs {
		doc := unescaped(f.Description())
		if own := functionDocs[name]; own != "" {
			doc = own
		}
		fd := FunctionDoc{Name: name, Doc: doc, Returns: returns(f)}
		for _, p := range f.Params() {
			fd.Params = append(fd.Params, paramDoc(p))
		}
		if v := f.VarParam(); v != nil {
			p := paramDoc(*v)
			fd.Variadic = &p
		}
		out = append(out, fd)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// unescaped takes the backslashes from quotes that some functions of go-cty
// bear in their descriptions.
func unescaped(doc string) string { return strings.ReplaceAll(doc, `\"`, `"`) }

func paramDoc(p function.Parameter) ParamDoc {
	return ParamDoc{Name: p.Name, Doc: unescaped(p.Description), Type: p.Type, Null: p.AllowNull}
}

// returns is the type of the result where it does not depend on the arguments.
func returns(f function.Function) cty.Type {
	var args []cty.Type
	for _, p := range f.Params() {
		args = append(args, p.Type)
	}
	if v := f.VarParam(); v != nil {
		args = append(args, v.Type)
	}
	t, err := f.ReturnType(args)
	if err != nil {
		return cty.DynamicPseudoType
	}
	return t
}

// Signature is the function as one would call it.
func (f *FunctionDoc) Signature() string {
	var parts []string
	for _, p := range f.Params {
		parts = append(parts, p.Name+" "+typeWords(p.Type))
	}
	if f.Variadic != nil {
		parts = append(parts, f.Variadic.Name+"… "+typeWords(f.Variadic.Type))
	}
	return f.Name + "(" + strings.Join(parts, ", ") + ") " + typeWords(f.Returns)
}

func typeWords(t cty.Type) string {
	switch {
	case t == cty.DynamicPseudoType:
		return "any"
	case t.IsListType():
		return "list(" + typeWords(t.ElementType()) + ")"
	case t.IsSetType():
		return "set(" + typeWords(t.ElementType()) + ")"
	case t.IsMapType():
		return "map(" + typeWords(t.ElementType()) + ")"
	case t.IsCapsuleType(): // an expression, or a type, that the function itself reads
		return strings.TrimSuffix(t.FriendlyName(), " closure")
	}
	return t.FriendlyName()
}

// functionDocs describes the functions that do not describe themselves.
var functionDocs = map[string]string{
	"alltrue":      "Tells whether every element of a list or set is true; of an empty one it is true.",
	"anytrue":      "Tells whether at least one element of a list or set is true.",
	"base64decode": "Returns the text of which the given string is the Base64 encoding.",
	"base64encode": "Returns the Base64 encoding of the given text.",
	"base64sha256": "Returns the SHA-256 digest of a text, in Base64.",
	"base64sha512": "Returns the SHA-512 digest of a text, in Base64.",
	"basename":     "Returns the last part of a path.",
	"can":          "Tells whether the given expression can be evaluated without an error.",
	"cidrcontains": "Tells whether a network holds an address or another network: cidrcontains(\"10.0.0.0/8\", \"10.1.2.3\") is true.",
	"cidrhost":     "Returns the address with the given number in a network: cidrhost(\"10.0.0.0/24\", 5) is 10.0.0.5. Negative numbers count from the end.",
	"cidrnetmask":  "Returns the netmask of an IPv4 network: cidrnetmask(\"10.0.0.0/24\") is 255.255.255.0.",
	"cidrsubnet":   "Returns the subnet with the given number whose prefix is longer by newbits: cidrsubnet(\"10.0.0.0/16\", 8, 3) is 10.0.3.0/24.",
	"cidrsubnets":  "Returns subnets of a network one after the other, each with its own number of further prefix bits.",
	"convert":      "Converts a value to a type: convert(x, list(string)).",
	"dirname":      "Returns a path without its last part.",
	"endswith":     "Tells whether a string ends with another.",
	"file":         "Returns the content of a text file of the configuration's directory.",
	"filebase64":   "Returns the Base64 encoding of the content of a file of the configuration's directory.",
	"fileexists":   "Tells whether there is such a file in the configuration's directory.",
	"filemd5":      "Returns the MD5 digest of a file of the configuration's directory, hexadecimal.",
	"fileset":      "Returns the files below a path of the configuration's directory that match a pattern.",
	"filesha1":     "Returns the SHA-1 digest of a file of the configuration's directory, hexadecimal.",
	"filesha256":   "Returns the SHA-256 digest of a file of the configuration's directory, hexadecimal.",
	"filesha512":   "Returns the SHA-512 digest of a file of the configuration's directory, hexadecimal.",
	"format":       "Returns a text with values put in: format(\"%s-%02d\", \"web\", 7) is \"web-07\".",
	"formatlist":   "Returns a list of texts: format, applied to the elements of the lists that are given, in turn.",
	"indent":       "Puts spaces before every line of a text but the first.",
	"index":        "Returns the place of the first element of a list that equals a value, counted from 0; it is an error if there is none.",
	"issensitive":  "Tells whether a value is marked as secret.",
	"length":       "Returns the number of elements of a list, set, map or object, or of the characters of a string.",
	"lookup":       "Returns the element of a map or object with a key, or the third argument if there is none.",
	"md5":          "Returns the MD5 digest of a text, hexadecimal.",
	"nonsensitive": "Returns the given value without the mark of a secret. It will be shown: only for what is not secret by itself.",
	"one":          "Returns the only element of a list, set or tuple, or null if it is empty; more than one is an error.",
	"range":        "Returns a list of numbers: range(3) is [0, 1, 2], range(1, 4) is [1, 2, 3], range(0, 10, 5) is [0, 5].",
	"replace":      "Replaces every occurrence of substr in a string; a substr of the form /…/ is a regular expression, and $1 in replace stands for its first group.",
	"sensitive":    "Marks a value as secret, so that it is never shown.",
	"sha1":         "Returns the SHA-1 digest of a text, hexadecimal.",
	"sha256":       "Returns the SHA-256 digest of a text, hexadecimal.",
	"sha512":       "Returns the SHA-512 digest of a text, hexadecimal.",
	"startswith":   "Tells whether a string begins with another.",
	"strcontains":  "Tells whether a string contains another.",
	"sum":          "Returns the sum of a list, set or tuple of numbers.",
	"templatefile": "Renders a file of the configuration's directory as a template, in which the keys of vars are names. Called in content or cmdline of a kickstart, it sees self as well.",
	"tobool":       "Converts a value to true or false.",
	"tolist":       "Converts a set or a tuple to a list.",
	"tomap":        "Converts an object to a map.",
	"tonumber":     "Converts a value to a number.",
	"toset":        "Converts a list or a tuple to a set: without repetitions, without an order.",
	"tostring":     "Converts a value to a string.",
	"transpose":    "Turns a map of lists of strings around: each string becomes a key, with the list of the keys that had it.",
	"try":          "Returns the first of the given expressions that can be evaluated without an error.",
	"urlencode":    "Returns a text as it stands in the query of a URL.",
	"uuidv5":       "Returns the UUID of a name in a namespace (RFC 4122, version 5): uuidv5(\"dns\", \"example.org\").",
	"yamldecode":   "Returns the value of which the given text is the YAML.",
	"yamlencode":   "Returns the YAML of a value.",
}
