// The file → what it says, and on which line. YAML 1.2, of which JSON is a part.
import type { Document, Node, Pair } from 'yaml'
import { looksLikeOurs } from '../secret-input.ts'

export type Finding = { readonly line: number; readonly pointer: string; readonly detail: string }

export type Source = {
  readonly value: unknown
  /** Where something stands, or should. @param pointer as RFC 6901 has it */
  lineOf(pointer: string): number
}

/** @returns what is wrong, when it cannot be read, or must not be */
export async function readSource(text: string): Promise<Source | readonly Finding[]> {
  const secret = text.split('\n').findIndex((line) => looksLikeOurs.test(line))
  if (secret >= 0) return [{ line: secret + 1, pointer: '', detail: secretFound }]
  const yaml = await import('yaml')
  const counter = new yaml.LineCounter()
  const document = yaml.parseDocument(text, { lineCounter: counter })
  const lineAt = (offset: number) => counter.linePos(offset).line || 1
  const wrong = document.errors.map(({ message, pos }) => {
    return { line: lineAt(pos[0]), pointer: '', detail: message.split(/ at line |\n/)[0]! }
  })
  if (wrong.length > 0) return wrong
  return { value: document.toJS(), lineOf: (pointer) => lineAt(offsetOf(pointer, document, yaml)) }
}

const secretFound =
  'A secret stands here, and this file is for sharing. Take it out; revoke it if others may have seen it.'

/** Of the key, or of the element of a list; of what is around it, when it is not there. */
function offsetOf(
  pointer: string,
  document: Document,
  { isAlias, isMap, isSeq }: typeof import('yaml'),
): number {
  let at: unknown = document.contents
  let offset = startOf(at) ?? 0
  for (const step of pointer.split('/').slice(1)) {
    const inside = isAlias(at) ? at.resolve(document) : at
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    const pair = isMap(inside) ? inside.items.find((one) => nameOf(one) === name) : undefined
    at = pair?.value ?? (isSeq(inside) ? inside.items[Number(name)] : undefined)
    offset = startOf(pair?.key) ?? startOf(at) ?? offset
  }
  return offset
}

const nameOf = ({ key }: Pair) => String((key as { value?: unknown } | null)?.value ?? key)
const startOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0]
