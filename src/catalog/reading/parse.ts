// The bytes that were sent → the value they write down, JSON or YAML. Refuses what is broken with line and column.
import { isMap, isScalar, LineCounter, parseDocument, visit, type YAMLMap } from 'yaml'
import { Unreadable } from './finding.ts'

export type Syntax = 'json' | 'yaml'

/** Enough for shared parameters; a billion laughs need dozens. What they blow up to is bounded by tree.ts. */
const mostAliases = 100

/** @throws Unreadable */
export function parse(bytes: Uint8Array, syntax: Syntax): unknown {
  const text = decode(bytes)
  if (text.trim() === '') throw new Unreadable('The body is empty; send the OpenAPI document.')
  return syntax === 'json' ? parseJson(text) : parseYaml(text)
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Unreadable('The body is not UTF-8.')
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Unreadable(`The body is not JSON${whereIn(text, (error as Error).message)}.`)
  }
}

/** V8 tells the offset in words of its own, which repeat what was sent: only the number is taken. */
function whereIn(text: string, message: string): string {
  const offset = /at position (\d+)/.exec(message)?.[1]
  if (offset === undefined) return /end of JSON/.test(message) ? ': it ends too early' : ''
  const before = text.slice(0, Number(offset)).split('\n')
  return `: line ${before.length}, column ${before.at(-1)!.length + 1}`
}

function parseYaml(text: string): unknown {
  const lineCounter = new LineCounter()
  const at = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset)
    return `line ${line}, column ${col}`
  }
  // The library compares every key of a map with every other one: with 20 000 keys that takes ten seconds.
  const options = { uniqueKeys: false, prettyErrors: false, logLevel: 'error', lineCounter } as const
  try {
    const document = parseDocument(text, options)
    const [error] = document.errors
    if (error) throw new Unreadable(`The body is not YAML: ${at(error.pos[0])}: ${error.code}.`)
    visit(document, { Map: (_key, map) => refuseRepeatedKeys(map, at) })
    return document.toJS({ maxAliasCount: mostAliases })
  } catch (error) {
    if (error instanceof Unreadable) throw error
    if (error instanceof ReferenceError)
      throw new Unreadable('The YAML has too many aliases; write them out.')
    if (error instanceof RangeError) throw new Unreadable('The YAML is nested too deeply.')
    throw new Unreadable('The body is not YAML that can be read.')
  }
}

function refuseRepeatedKeys({ items }: YAMLMap, at: (offset: number) => string): void {
  const seen = new Set<string>()
  for (const { key } of items) {
    if (isMap(key)) throw new Unreadable('A key of the YAML is a map; keys must be text.')
    if (!isScalar(key)) continue
    const name = String(key.value)
    if (seen.has(name))
      throw new Unreadable(
        `A key stands twice in one map: ${at(key.range?.[0] ?? 0)}. Leave one of them out.`,
      )
    seen.add(name)
  }
}
