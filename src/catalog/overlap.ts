// Have two services a request in common? Their templates as two tries, walked together: linear in the routes as
// long as they differ somewhere, however many there are. Pure.
import { isLiteral, isParameter, type Segment, segmentsMeet, segmentsOf } from './template.ts'

export type Route = { readonly method: string; readonly path: string }
export type Overlap = { readonly left: Route; readonly right: Route }

type Node = {
  readonly literals: Map<string, Node>
  parameter: Node | null
  /** By their text, as a mixed segment may begin many routes. */
  readonly mixed: Map<string, { readonly segment: Segment; readonly node: Node }>
  readonly ends: Map<string, Route>
}

/** So that patterns made to meet everywhere cannot keep a replica busy; real ones need some thousands. */
const mostSteps = 100_000

export class TooManyPatterns extends Error {}

export type Trie = Node

/** @param prefix what the paths are below: '' or '/prefix' */
export function trieOf(routes: readonly Route[], prefix = ''): Trie {
  const root = newNode()
  for (const route of routes) {
    let node = root
    for (const segment of segmentsOf(prefix + route.path)) node = childOf(node, segment)
    node.ends.set(route.method, route)
  }
  return root
}

const newNode = (): Node => ({ literals: new Map(), parameter: null, mixed: new Map(), ends: new Map() })

function childOf(node: Node, segment: Segment): Node {
  if (isParameter(segment)) {
    node.parameter ??= newNode()
    return node.parameter
  }
  if (isLiteral(segment)) return getOrAdd(node.literals, segment[0], newNode)
  const name = segment.map((part) => part ?? '{}').join('')
  return getOrAdd(node.mixed, name, () => ({ segment, node: newNode() })).node
}

function getOrAdd<T>(map: Map<string, T>, name: string, make: () => T): T {
  const present = map.get(name) ?? make()
  map.set(name, present)
  return present
}

/** The first method and path that both take; null: none. @throws TooManyPatterns */
export function overlapOf(left: Trie, right: Trie): Overlap | null {
  const open: [Node, Node][] = [[left, right]]
  let steps = 0
  for (let pair = open.pop(); pair; pair = open.pop()) {
    const [one, other] = pair
    for (const [method, route] of one.ends) {
      const same = other.ends.get(method)
      if (same) return { left: route, right: same }
    }
    for (const next of meetingChildren(one, other)) {
      steps += 1
      if (steps > mostSteps) throw new TooManyPatterns()
      if (next) open.push(next)
    }
  }
  return null
}

/** Pairs of children that some segment fits both; null: a pair that was tried in vain, which counts as a step. */
function* meetingChildren(left: Node, right: Node): Generator<[Node, Node] | null> {
  yield* sharedLiterals(left, right)
  if (left.parameter) for (const child of childrenOf(right)) yield [left.parameter, child]
  if (right.parameter) for (const child of patternlessOf(left)) yield [child, right.parameter]
  for (const { segment, node } of left.mixed.values()) yield* meetingMixed(segment, node, right, false)
  for (const { segment, node } of right.mixed.values()) yield* meetingLiterals(segment, node, left, true)
}

function* sharedLiterals(left: Node, right: Node): Generator<[Node, Node]> {
  const isLeftSmaller = left.literals.size < right.literals.size
  const [small, large] = isLeftSmaller ? [left.literals, right.literals] : [right.literals, left.literals]
  for (const [text, node] of small) {
    const same = large.get(text)
    if (same) yield isLeftSmaller ? [node, same] : [same, node]
  }
}

function* childrenOf({ literals, parameter, mixed }: Node): Generator<Node> {
  yield* literals.values()
  if (parameter) yield parameter
  for (const { node } of mixed.values()) yield node
}

/** All but the parameter, which has met every child of the other side already. */
function* patternlessOf({ literals, mixed }: Node): Generator<Node> {
  yield* literals.values()
  for (const { node } of mixed.values()) yield node
}

type Found = Generator<[Node, Node] | null>

function* meetingMixed(segment: Segment, node: Node, other: Node, swapped: boolean): Found {
  yield* meetingLiterals(segment, node, other, swapped)
  for (const { segment: pattern, node: child } of other.mixed.values())
    yield segmentsMeet(segment, pattern) ? [node, child] : null
}

function* meetingLiterals(segment: Segment, node: Node, other: Node, swapped: boolean): Found {
  for (const [text, child] of other.literals) {
    if (!segmentsMeet(segment, [text])) yield null
    else yield swapped ? [child, node] : [node, child]
  }
}
