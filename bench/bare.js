// The yardstick: bare Fastify with routes of the same shapes as Latchkey's and nothing behind them. JavaScript, so
// that nothing stands between it and node. It reads the form as Latchkey does. Run by the benches, on a port of its own.
import Fastify from 'fastify'
import { readForm } from '../dist/introspection/form.js'

const text = { type: 'string' }
const number = { type: 'integer' }
const introspection = {
  type: 'object',
  properties: {
    active: { type: 'boolean' },
    scope: text,
    client_id: text,
    username: text,
    token_type: text,
    exp: number,
    iat: number,
    sub: text,
    iss: text,
    jti: text,
    token_kind: text,
    team: text,
  },
}
const answer = (jti) => ({
  active: true,
  scope: 'artifacts:manage billing:read payouts:write posts:read transfers:manage workspaces:read',
  client_id: jti,
  username: 'user_123456',
  token_type: 'Bearer',
  exp: 2082758400,
  iat: 1767225600,
  sub: 'user_123456',
  iss: 'http://localhost:8080',
  jti,
  token_kind: 'personal',
  team: 'team_1234',
})

const app = Fastify()
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, readForm(body)),
)
app.post('/oauth2/introspect', { schema: { response: { 200: introspection } } }, (request, reply) => {
  reply.send(answer(request.body.get('token')))
})
app.get(
  '/forward-auth',
  {
    schema: {
      querystring: { type: 'object', properties: { scope: text } },
      response: { 200: { type: 'object' } },
    },
  },
  (request, reply) => {
    reply.send({ active: request.headers.authorization !== undefined })
  },
)
const token = {
  type: 'object',
  properties: { name: text, subject: text, scopes: { type: 'array', items: text } },
  required: ['name'],
  additionalProperties: false,
}
app.post(
  '/api/v1/tokens',
  { schema: { body: token, response: { 200: { type: 'object', additionalProperties: true } } } },
  (request, reply) => {
    reply.send({ id: 'tok_01k00000000000000000000000', status: 'active', ...request.body, token: 'lk_pat_' })
  },
)
await app.listen({ host: '127.0.0.1', port: 0 })
// A profile is written only at an orderly end.
process.once('SIGTERM', () => process.exit(0))
process.send?.({ kind: 'up', answer: app.server.address().port })
