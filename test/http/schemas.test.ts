// Schemas are compiled when a request or an answer first needs them (serializing.ts, validation.ts), so one that cannot be
// compiled would show as a 500 in production. Here all that the OpenAPI document has are compiled.
import { readFileSync } from 'node:fs'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import t from 'tap'
import { validatorCompiler } from '../../src/http/validation.ts'

type Schema = Record<string, unknown>
type Content = Record<string, { schema: Schema }>
type Operation = {
  operationId: string
  parameters?: { name: string; schema: Schema }[]
  requestBody?: { content: Content }
  responses: Record<string, { content?: Content }>
}

type Document = { paths: Record<string, Record<string, Operation>>; components: { schemas: Schema } }

const text = readFileSync(new URL('../../openapi/latchkey.json', import.meta.url), 'utf8')
const { paths, components }: Document = JSON.parse(text.replaceAll('#/components/schemas/', '#/definitions/'))
const operations = Object.values(paths).flatMap((path) => Object.values(path))
const whole = (schema: Schema) => ({ ...schema, definitions: components.schemas })

t.test('the schema of every answer can be compiled', async (t) => {
  const compile = SerializerSelector()({}, {})
  for (const { operationId, responses } of operations)
    for (const [status, { content = {} }] of Object.entries(responses))
      for (const [type, { schema }] of Object.entries(content))
        t.doesNotThrow(
          () => compile({ schema: whole(schema), method: 'GET', url: '/', httpStatus: status }),
          `${operationId}, ${status} ${type}`,
        )
})

t.test('the schema of every body and parameter can be compiled', async (t) => {
  const tried = (schema: Schema, httpPart: string) =>
    validatorCompiler({ schema: whole(schema), httpPart } as never)({})
  for (const { operationId, parameters = [], requestBody } of operations) {
    const properties = Object.fromEntries(parameters.map(({ name, schema }) => [name, schema]))
    t.doesNotThrow(() => tried({ type: 'object', properties }, 'querystring'), `${operationId}, parameters`)
    for (const [type, { schema }] of Object.entries(requestBody?.content ?? {}))
      t.doesNotThrow(() => tried(schema, 'body'), `${operationId}, ${type}`)
  }
})
