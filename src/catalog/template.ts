// A path template, `/files/{name}.json`: what it consists of, what is wrong with it, and what two have in common. Pure.

/** null stands for a parameter: one character or more, without a slash. */
export type Segment = readonly (string | null)[]

/** Between slashes. A slash at the end makes no difference: services and gateways differ on whether it does. */
export function segmentsOf(path: string): Segment[] {
  const trimmed = path.replace(/^\//, '').replace(/\/$/, '')
  return trimmed === '' ? [] : trimmed.split('/').map(partsOf)
}

const partsOf = (segment: string): Segment =>
  !segment.includes('{')
    ? [segment]
    : segment
        .split(/(\{[^{}]*\})/)
        .flatMap((part) => (part === '' ? [] : [part.startsWith('{') ? null : part]))

export const isParameter = (segment: Segment): boolean => segment.length === 1 && segment[0] === null
export const isLiteral = (segment: Segment): segment is readonly [string] =>
  segment.length === 1 && segment[0] !== null

/** The same for templates that differ in nothing but the names of parameters, and a slash at the end. */
export const shapeOf = (path: string): string =>
  `/${segmentsOf(path)
    .map((parts) => parts.map((part) => part ?? '{}').join(''))
    .join('/')}`

export const parametersOf = (path: string): string[] =>
  [...path.matchAll(/\{([^{}]*)\}/g)].map((found) => found[1]!)

const longestPath = 500

/** Faults that would keep a gateway from matching it, or make it match something else than the service does. */
const faults: readonly [RegExp, string][] = [
  [/^(?!\/)/, 'must begin with "/"'],
  [/[?#]/, 'has a query or a fragment; parameters of the query are declared under "parameters"'],
  [/\\|%5c/i, 'has a backslash, which some servers take for a slash'],
  [/%2f/i, 'has an encoded slash, which some servers take for a real one'],
  [/%/, 'has a percent-encoded character; only paths that need no encoding can be matched surely'],
  [/;/, 'has a ";", behind which some servers ignore the rest of a segment'],
  [/\*/, 'has a "*"; a parameter is written {name}'],
  [/\/\//, 'has an empty segment ("//")'],
  [/(^|\/)\.\.?(\/|$)/, 'has a "." or ".." segment, which clients resolve before they send'],
  [/\{[^{}]*$|\{[^{}]*\{|(^|\})[^{}]*\}/, 'has a brace without its partner'],
  [/\{(?![\w.-]+\})/, 'has a parameter whose name is not of A-Z a-z 0-9 _ . -'],
  [/\}\{/, 'has two parameters with nothing between them'],
  [/[^A-Za-z0-9._~!$&'()+,=:@{}/-]/, 'has a character that must be encoded in a URL'],
]

/** null: none. */
export function faultOf(path: string): string | null {
  if (path.length > longestPath) return `is longer than ${longestPath} characters`
  const fault = faults.find(([pattern]) => pattern.test(path))
  if (fault) return fault[1]
  const names = parametersOf(path)
  const repeated = names.find((name, index) => names.indexOf(name) !== index)
  return repeated === undefined ? null : `has the parameter {${repeated}} twice`
}

/** Whether some text fits both. */
export function segmentsMeet(left: Segment, right: Segment): boolean {
  if (isParameter(left) || isParameter(right)) return true
  return (
    beginAlike(left[0]!, right[0]!) &&
    endAlike(left.at(-1)!, right.at(-1)!) &&
    meet(charactersOf(left), charactersOf(right))
  )
}

// What tells most pairs apart, before the long way.
const beginAlike = (left: string | null, right: string | null): boolean =>
  left === null || right === null || left.startsWith(right) || right.startsWith(left)
const endAlike = (left: string | null, right: string | null): boolean =>
  left === null || right === null || left.endsWith(right) || right.endsWith(left)

/** A parameter is one character of any kind, and then any number: `null` and `undefined`. */
type Symbols = readonly (string | null | undefined)[]

const charactersOf = (segment: Segment): Symbols =>
  segment.flatMap((part): Symbols => (part === null ? [null, undefined] : [...part]))

/** Walks both at once; `reached` has the positions in `right` that the part of `left` so far can stand for. */
function meet(left: Symbols, right: Symbols): boolean {
  let reached = closeOver(new Set([0]), right)
  for (const symbol of left) {
    reached = symbol === undefined ? anyNumber(reached, right) : step(reached, symbol, right)
    if (reached.size === 0) return false
  }
  return reached.has(right.length)
}

/** Any number of characters may also be none. */
function closeOver(positions: ReadonlySet<number>, right: Symbols): Set<number> {
  const all = new Set(positions)
  for (const position of all)
    if (right[position] === undefined && position < right.length) all.add(position + 1)
  return all
}

function step(positions: ReadonlySet<number>, symbol: string | null, right: Symbols): Set<number> {
  const next = new Set<number>()
  for (const position of positions) {
    if (position >= right.length) continue
    const other = right[position]
    if (other === undefined) next.add(position)
    else if (other === null || symbol === null || other === symbol) next.add(position + 1)
  }
  return closeOver(next, right)
}

function anyNumber(positions: ReadonlySet<number>, right: Symbols): Set<number> {
  const first = Math.min(...positions)
  return new Set(Array.from({ length: right.length - first + 1 }, (_, index) => first + index))
}
