package web

import (
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

// quietZone is the width of the light border of a QR code, in modules (ISO/IEC 18004).
const quietZone = 4

// qrSVG draws a text as a QR code. It is dark on light in all color schemes, since
// phones do not read it otherwise.
func qrSVG(text, title string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quietZone, y+quietZone, x-from, x-from)
			}
		}
	}
	size := code.Size + 2*quietZone
	// The values are numbers, letters of the path, and an escaped text.
	return template.HTML(fmt.Sprintf(`<svg class="qr" role="img" viewBox="0 0 %d %d" shape-rendering="crispEdges" aria-label="%s">`+
		`<rect width="%d" height="%d" fill="#fff"/><path d="%s" fill="#000"/></svg>`,
		size, size, template.HTMLEscapeString(title), size, size, path.String())), nil
}
