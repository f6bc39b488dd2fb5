// The peer better-auth: its API-key plugin's verification on PostgreSQL behind a bare Fastify route, with its own rate
// limiting off, as ours is. It writes at each verification. Run by peers.ts. Environment: DATABASE_URL, PEER_MODULE,
// PEER_PLUGIN, PEER_MIGRATION (where its parts are installed).
import Fastify from 'fastify'
import pg from 'pg'
import { readForm } from '../dist/introspection/form.js'

const { betterAuth } = await import(process.env.PEER_MODULE)
const { apiKey } = await import(process.env.PEER_PLUGIN)
const { getMigrations } = await import(process.env.PEER_MIGRATION)

const auth = betterAuth({
  baseURL: 'http://localhost',
  secret: 'the secret of a bench, long enough for it',
  database: new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 }),
  emailAndPassword: { enabled: true },
  telemetry: { enabled: false },
  plugins: [apiKey({ rateLimit: { enabled: false } })],
})
await (await getMigrations(auth.options)).runMigrations()
const { user } = await auth.api.signUpEmail({
  body: { name: 'bench', email: `bench-${process.pid}@example.com`, password: 'a password of a bench' },
})
const { key } = await auth.api.createApiKey({ body: { userId: user.id, name: 'bench' } })

const app = Fastify()
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, readForm(body)),
)
app.post('/verify', async (request) => {
  const { valid } = await auth.api.verifyApiKey({ body: { key: request.body.get('token') } })
  return { active: valid }
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.send({ kind: 'up', answer: { port: app.server.address().port, token: key } })
