// `$ref`: only within the document itself (`#/…`). Nothing is ever fetched, and what leads nowhere is refused.
import { type Finding, pointerTo, Unreadable } from './finding.ts'
import { isObject, type Json, own } from './tree.ts'

const mostFindings = 20
const longestChain = 20

/** @throws Unreadable when a reference leads out of the document, or nowhere */
export function checkReferences(document: Json): void {
  const findings: Finding[] = []
  walk(document, [], (reference, path) => {
    if (findings.length >= mostFindings) return
    const detail = faultOf(reference, document)
    if (detail) findings.push({ pointer: pointerTo(...path, '$ref'), detail })
  })
  if (findings.length > 0) throw new Unreadable(findings[0]!.detail, findings)
}

function faultOf(reference: string, document: Json): string | null {
  const name = JSON.stringify(reference.slice(0, 100))
  if (!reference.startsWith('#/'))
    return `$ref ${name} leads out of the document. Nothing is fetched: bundle it into one document, and refer to "#/…".`
  return lookUp(document, reference) === undefined ? `$ref ${name} leads nowhere.` : null
}

type Visit = (reference: string, path: readonly (string | number)[]) => void

function walk(value: Json, path: (string | number)[], visit: Visit): void {
  if (Array.isArray(value)) {
    for (const [index, one] of value.entries()) walkInto(one, index, path, visit)
  } else if (isObject(value)) {
    for (const name in value) {
      const one = value[name]!
      if (name === '$ref' && typeof one === 'string') visit(one, path)
      else walkInto(one, name, path, visit)
    }
  }
}

function walkInto(value: Json, key: string | number, path: (string | number)[], visit: Visit): void {
  if (typeof value !== 'object') return
  path.push(key)
  walk(value, path, visit)
  path.pop()
}

/** What `#/a/b` points to (RFC 6901 §6), through members that are really there. */
export function lookUp(document: Json, reference: string): Json | undefined {
  let at: Json | undefined = document
  for (const part of reference.slice(2).split('/')) {
    const name = decode(part)
    if (name === null) return undefined
    at = Array.isArray(at) ? (/^\d+$/.test(name) ? at[Number(name)] : undefined) : own(at, name)
  }
  return at
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return null
  }
}

/** The value itself, or what its references lead to in the end; undefined: a circle. */
export function follow(document: Json, value: Json | undefined): Json | undefined {
  let at = value
  for (let steps = 0; steps < longestChain; steps++) {
    const reference = own(at, '$ref')
    if (typeof reference !== 'string') return at
    at = lookUp(document, reference)
  }
  return undefined
}
