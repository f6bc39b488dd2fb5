// What an endpoint takes, by name: where each value goes, and which of them somebody has to give. Pure.
import type { Endpoint } from '../endpoint.ts'
import { parametersOf } from '../template.ts'

type Place = 'path' | 'query' | 'header' | 'body'
export type Fields = ReadonlyMap<string, { readonly place: Place; readonly hint: string }>

export function fieldsOf({ path, request = {} }: Endpoint): Fields {
  const listed = (place: Place, hints: Readonly<Record<string, string>> = {}) =>
    Object.entries(hints).map(([name, hint]) => [name, { place, hint }] as const)
  return new Map([
    ...listed('body', request.hint),
    ...listed('header', request.header),
    ...listed('query', request.query),
    ...listed('path', Object.fromEntries(parametersOf(path).map((name) => [name, 'required, string']))),
    ...listed('path', request.path),
  ])
}

/** Needed, and given neither by the workflow nor by the example of the body. */
export function openFields(
  { request, path }: Endpoint,
  fields: Fields,
  use: ReadonlyMap<string, string>,
): string[] {
  const example = isObject(request?.example) ? request.example : {}
  const inPath = parametersOf(path)
  return [...fields].flatMap(([name, { place, hint }]) => {
    const isNeeded = hint.startsWith('required, ') || inPath.includes(name)
    const isGiven = use.has(name) || (place === 'body' && name in example)
    return isNeeded && !isGiven ? [name] : []
  })
}

export function placeOf(name: string, fields: Fields, { request }: Endpoint): Place {
  if (name.toLowerCase() === 'authorization') return 'header'
  return fields.get(name)?.place ?? (request?.contentType ? 'body' : 'query')
}

export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
