// What an admin of Latchkey does once for each service: register it, say where it is, and give it its credentials. Writes
// to stdout what start.ts wants in its environment; there are secrets in it.
const { env } = process
const latchkey = env['LATCHKEY_URL'] ?? 'http://localhost:8080'
const services = [
  { id: 'posts', name: 'Posts', baseUrl: env['POSTS_URL'] ?? 'http://localhost:3001' },
  { id: 'billing', name: 'Billing', baseUrl: env['BILLING_URL'] ?? 'http://localhost:3002' },
]

console.log(`LATCHKEY_URL=${latchkey}`)
for (const service of services) {
  const { clientSecret } = await post('/api/v1/services', service)
  // The subject is the service, so the token can publish for this one only.
  const { token } = await post('/api/v1/tokens', {
    name: `${service.id} publishes its API`,
    type: 'service',
    subject: service.id,
    scopes: ['catalog:publish'],
  })
  const name = service.id.toUpperCase()
  console.log(
    `${name}_URL=${service.baseUrl}\n${name}_CLIENT_SECRET=${clientSecret}\n${name}_PUBLISH_TOKEN=${token}`,
  )
}

async function post(path: string, body: object): Promise<Record<string, string>> {
  const response = await fetch(latchkey + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${env['LATCHKEY_ADMIN_TOKEN']}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const answer = (await response.json()) as Record<string, string>
  if (response.ok) return answer
  console.error(`POST ${path}: ${response.status} ${answer['detail']}`)
  process.exit(1)
}
