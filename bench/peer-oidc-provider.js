// The peer oidc-provider, asked to introspect one opaque access token that it keeps in memory. JavaScript, so that
// nothing stands between it and node. Run by peers.ts. Environment: PEER_MODULE (where it is installed).
const { default: Provider } = await import(process.env.PEER_MODULE)

const client = { client_id: 'posts', client_secret: 'bench_0123456789abcdefghijklmnop' }
const provider = new Provider('http://localhost', {
  clients: [{ ...client, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    devInteractions: { enabled: false },
  },
  scopes: ['posts:read'],
  ttl: { ClientCredentials: 3600 },
})
const server = provider.listen(0, '127.0.0.1', async () => {
  const { port } = server.address()
  const basic = `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')}`
  const answer = await fetch(`http://127.0.0.1:${port}/token`, {
    method: 'POST',
    headers: { authorization: basic },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'posts:read' }),
  })
  const { access_token: token } = await answer.json()
  process.send({ kind: 'up', answer: { port, basic, token } })
})
