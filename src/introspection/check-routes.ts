// POST /api/v1/verify and its batch form: introspection for people who prefer JSON and reasons. Always 200 for a
// verdict, whatever it is; other codes mean that there is none.
import Type, { type Static } from 'typebox'
import { Problem } from '../http/problem.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import type { Asker } from '../policy/judge.ts'
import { parseAddress } from '../policy/network.ts'
import type { Verify } from '../verify/verify.ts'
import { CheckSchema, checkAnswer } from './answers.ts'

export type CheckDependencies = {
  readonly verify: Verify
  readonly onChecked: (door: 'verify', active: boolean) => void
}

const policy = { access: 'service', scopes: ['tokens:introspect'], credentialsIn: 'header' } as const
const tags = ['Verify']

const CheckBody = Type.Object(
  {
    token: Type.String({ maxLength: 1_000, description: 'The secret, as the bearer presented it.' }),
    requiredScopes: Type.Optional(
      Type.Array(Type.String({ maxLength: 100 }), { maxItems: 50, examples: [['posts:write']] }),
    ),
    clientIp: Type.Optional(
      Type.String({
        maxLength: 64,
        description: 'Where the bearer calls from; needed for IP-restricted tokens.',
      }),
    ),
    team: Type.Optional(Type.String({ maxLength: 100, description: 'The team the request is about.' })),
  },
  { additionalProperties: false },
)
type CheckBody = Static<typeof CheckBody>

export function checkRoutes(app: App, { verify, onChecked }: CheckDependencies): void {
  app.addSchema(CheckSchema)

  const check = async (body: CheckBody, asker: Asker, pointer: string) => {
    const question = {
      asker,
      clientIp: readClientIp(body.clientIp, `${pointer}/clientIp`),
      requiredScopes: body.requiredScopes ?? [],
      team: body.team ?? null,
    }
    const verdict = await verify(body.token, question)
    onChecked('verify', verdict.active)
    return checkAnswer(verdict)
  }

  app.route({
    method: 'POST',
    url: '/api/v1/verify',
    config: {
      policy,
      catalog: { effects: { readOnly: true }, errors: ['validation-failed', 'unknown-field'] },
    },
    schema: {
      operationId: 'checkToken',
      summary: 'Ask whether a token is good and may do something',
      tags,
      body: CheckBody,
      response: { 200: ref(CheckSchema) },
    },
    handler: (request) => check(request.body, request.principal!.asker, ''),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/verify/batch',
    config: {
      policy,
      catalog: { effects: { readOnly: true }, errors: ['validation-failed', 'unknown-field'] },
    },
    schema: {
      operationId: 'checkTokens',
      summary: 'The same for up to 100 tokens at once',
      description: 'The results stand in the order of the checks.',
      tags,
      body: Type.Object(
        { checks: Type.Array(CheckBody, { minItems: 1, maxItems: 100 }) },
        { additionalProperties: false },
      ),
      response: {
        200: Type.Object({ results: Type.Array(ref(CheckSchema)) }, { additionalProperties: false }),
      },
    },
    handler: async (request) => {
      const { asker } = request.principal!
      const checks = request.body.checks.map((body, index) => check(body, asker, `/checks/${index}`))
      return { results: await Promise.all(checks) }
    },
  })
}

function readClientIp(text: string | undefined, pointer: string) {
  if (text === undefined) return null
  const address = parseAddress(text)
  if (address) return address
  throw new Problem('validation-failed', 'clientIp is no IP address.', {
    errors: [{ pointer, detail: 'Is no IP address.' }],
  })
}
