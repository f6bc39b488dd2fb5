// A service of many routes, as an OpenAPI document: each resource has five, with the schemas that hints are made from.

const perResource = 5

export function manyRoutes(count: number, scopes: readonly string[]): object {
  const paths: Record<string, object> = {}
  const resources = Math.ceil(count / perResource)
  for (let i = 0; i < resources; i++) {
    const [read, write] = [scopes[i % scopes.length]!, scopes[(i + 1) % scopes.length]!]
    const name = `resource${i}`
    const at = (id: string, scope: string, more: object = {}) => ({
      operationId: `${id}_${name}`,
      summary: `${id} ${name}`,
      security: [{ token: [scope] }],
      responses: { 200: { description: 'ok', content: { 'application/json': { schema: item } } } },
      ...more,
    })
    const takes = { requestBody: { content: { 'application/json': { schema: item } } } }
    paths[`/v1/group${i % 50}/${name}`] = { get: at('list', read), post: at('create', write, takes) }
    paths[`/v1/group${i % 50}/${name}/{id}`] = {
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
      get: at('read', read),
      put: at('replace', write, takes),
      delete: at('delete', write),
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Many routes', version: '1' },
    paths,
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  }
}

const item = {
  type: 'object',
  properties: {
    title: { type: 'string', maxLength: 120, examples: ['Hello'] },
    state: { type: 'string', enum: ['draft', 'published'] },
    size: { type: 'integer', minimum: 1, maximum: 100 },
  },
  required: ['title'],
}

/** The path of one that needs this scope to be read. */
export function pathThatNeeds(scope: string, scopes: readonly string[]): string {
  const i = scopes.indexOf(scope) + 20 * scopes.length
  return `/v1/group${i % 50}/resource${i}/42`
}
