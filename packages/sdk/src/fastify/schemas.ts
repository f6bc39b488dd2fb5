// JSON schemas as Fastify has them → as an OpenAPI 3.1 document has them: what is shared moves to
// `#/components/schemas`. The schema language is the same (JSON Schema 2020-12), so nothing else changes.

export type Schema = { readonly [key: string]: unknown }

export type Schemas = {
  /** The schema with its references pointing into the document. */
  place(schema: unknown): unknown
  /** Follows a reference at the top, to look at properties. */
  resolve(schema: unknown): Schema
  /** All shared schemas that were referred to, by name. */
  components(): Record<string, unknown>
}

export function createSchemas(shared: Readonly<Record<string, unknown>>): Schemas {
  const used = new Map<string, unknown>()

  function use(id: string): string {
    const name = id.replace(/[^A-Za-z0-9._-]/g, '_')
    if (!used.has(name)) {
      used.set(name, {})
      used.set(name, place(shared[id] ?? {}))
    }
    return name
  }

  /** `Post#/properties/id` → `#/components/schemas/Post/properties/id`. */
  function placeRef(ref: string): string {
    const [id = '', path = ''] = ref.split('#')
    return id === '' ? ref : `#/components/schemas/${use(id)}${path}`
  }

  function place(schema: unknown): unknown {
    if (Array.isArray(schema)) return schema.map(place)
    if (typeof schema !== 'object' || schema === null) return schema
    return Object.fromEntries(
      Object.entries(schema)
        .filter(([key]) => key !== '$id')
        .map(([key, value]) => [
          key,
          key === '$ref' && typeof value === 'string' ? placeRef(value) : place(value),
        ]),
    )
  }

  return {
    place,
    resolve(schema) {
      const { $ref } = (schema ?? {}) as { $ref?: string }
      return (($ref === undefined ? schema : shared[$ref.split('#')[0]!]) ?? {}) as Schema
    },
    components: () => Object.fromEntries([...used].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}
