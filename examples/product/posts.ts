// The service `posts`, and its routes about content: posts, places, artifacts. All it knows is in memory.
import type { FastifyInstance } from 'fastify'
import { accountRoutes } from './account.ts'
import { refuse } from './problem.ts'
import { empty, list, notFound, object, text } from './schemas.ts'
import { postsScopes } from './scopes.ts'
import { createService, type ServiceOptions } from './service.ts'
import { workspaceRoutes } from './workspaces.ts'

export const createPosts = (options: ServiceOptions): Promise<FastifyInstance> =>
  createService(
    {
      id: 'posts',
      title: 'Posts',
      scopes: postsScopes,
      routes: [contentRoutes, workspaceRoutes, accountRoutes],
    },
    options,
  )

type NewPost = { readonly title: string; readonly body: string }
type Post = NewPost & {
  readonly id: string
  readonly by: string
  readonly state: 'draft' | 'published' | 'down'
}

const newPost = object({ title: text(120, 'Hello'), body: text(65_536, 'The first post.') })
const post = object({
  id: text(40, 'post_1'),
  ...newPost.properties,
  by: text(100, 'user_42'),
  state: { enum: ['draft', 'published', 'down'] },
})
const postId = object({ postId: { ...text(40, 'post_1'), description: 'id of a post' } })
type OfPost = { Params: { postId: string } }

async function contentRoutes(app: FastifyInstance): Promise<void> {
  const posts = new Map<string, Post>()
  let written = 0
  const noPost = (id: string) => ['No such post', `There is no post ${id}.`] as const
  const places = [{ id: 'place_1', name: 'The square' }]
  const artifacts = new Map<string, string>()
  const put = (changed: Post): Post => {
    posts.set(changed.id, changed)
    return changed
  }

  app.get<{ Querystring: { limit: number } }>('/v1/posts', {
    config: { auth: { access: 'both', scopes: ['posts:read'], jobs: ['Read feed or post data'] } },
    schema: {
      operationId: 'listPosts',
      summary: 'List posts, drafts included',
      querystring: object({ limit: { type: 'integer', minimum: 1, maximum: 100, default: 30 } }, []),
      response: { 200: list(post) },
    },
    handler: async ({ query }) => [...posts.values()].slice(0, query.limit),
  })

  app.post<{ Body: NewPost }>('/v1/posts', {
    config: { auth: { access: 'both', scopes: ['posts:write'], jobs: ['Create or update posts'] } },
    schema: { operationId: 'createPost', summary: 'Write a draft', body: newPost, response: { 201: post } },
    handler: async ({ auth, body }, reply) => {
      written += 1
      reply.code(201)
      return put({ id: `post_${written}`, ...body, by: auth?.subject ?? 'session', state: 'draft' })
    },
  })

  app.get<OfPost>('/v1/posts/:postId', {
    config: { auth: { access: 'public', note: 'Drafts are not found here.' } },
    schema: {
      operationId: 'readPost',
      summary: 'Read a published post',
      params: postId,
      response: { 200: post, ...notFound },
    },
    handler: async ({ params }, reply) => {
      const found = posts.get(params.postId)
      return found?.state === 'published' ? found : refuse(reply, 404, ...noPost(params.postId))
    },
  })

  app.post<OfPost>('/v1/posts/:postId/publish', {
    config: {
      auth: {
        access: 'both',
        scopes: ['posts:write'],
        effects: { idempotency: 'again changes nothing' },
        jobs: ['Create or update posts'],
        errors: ['not-found'],
      },
    },
    schema: {
      operationId: 'publishPost',
      summary: 'Publish a draft',
      params: postId,
      response: { 200: post, ...notFound },
    },
    handler: async ({ params }, reply) => {
      const found = posts.get(params.postId)
      return found ? put({ ...found, state: 'published' }) : refuse(reply, 404, ...noPost(params.postId))
    },
  })

  app.delete<OfPost>('/v1/posts/:postId', {
    config: { auth: { access: 'both', scopes: ['posts:write'], errors: ['not-found'] } },
    schema: {
      operationId: 'deletePost',
      summary: 'Delete a post',
      params: postId,
      response: { 204: empty('It is gone'), ...notFound },
    },
    handler: async ({ params }, reply) =>
      posts.delete(params.postId) ? reply.code(204).send() : refuse(reply, 404, ...noPost(params.postId)),
  })

  app.get('/v1/places', {
    config: { auth: { scopes: ['places:read'], jobs: ['Read places'] } },
    schema: {
      operationId: 'listPlaces',
      summary: 'List places',
      response: { 200: list(object({ id: text(40, 'place_1'), name: text(100, 'The square') })) },
    },
    handler: async () => places,
  })

  app.put<{ Params: { name: string }; Body: string }>('/v1/artifacts/:name', {
    config: {
      auth: {
        scopes: ['artifacts:write'],
        effects: { idempotency: 'the same again changes nothing' },
        jobs: ['Upload artifacts'],
      },
    },
    schema: {
      operationId: 'uploadArtifact',
      summary: 'Upload an artifact',
      consumes: ['text/plain'],
      params: object({ name: text(100, 'report') }),
      body: { content: { 'text/plain': { schema: { type: 'string' } } } },
      response: { 204: empty('It is stored') },
    },
    handler: async ({ params, body }, reply) => {
      artifacts.set(params.name, body)
      return reply.code(204).send()
    },
  })

  app.post('/internal/reindex', {
    config: { auth: { access: 'internal', scopes: ['posts:read'] } },
    schema: {
      operationId: 'reindexPosts',
      summary: 'Build the search index anew',
      response: { 202: object({ posts: { type: 'integer' } }) },
    },
    handler: async (_request, reply) => {
      reply.code(202)
      return { posts: posts.size }
    },
  })

  app.post<OfPost>('/admin/posts/:postId/takedown', {
    config: { auth: { access: 'admin-only', scopes: ['posts:write'], effects: { destructive: true } } },
    schema: {
      operationId: 'takeDownPost',
      summary: 'Take a post down, whoever wrote it',
      params: postId,
      response: { 200: post, ...notFound },
    },
    handler: async ({ params }, reply) => {
      const found = posts.get(params.postId)
      return found ? put({ ...found, state: 'down' }) : refuse(reply, 404, ...noPost(params.postId))
    },
  })
}
