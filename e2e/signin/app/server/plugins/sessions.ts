import redisDriver from 'unstorage/drivers/redis'

export default defineNitroPlugin(() => {
  const { SESSION_REDIS_URL: url, SESSION_REDIS_PREFIX: base, SESSION_REDIS_TTL: ttl } = process.env
  if (url) {
    useStorage().mount('oidc', redisDriver({ url, base, ttl: Number(ttl) }))
  }
  // The module needs the ID token for sign-out; no page does.
  for (const hook of ['fetch', 'refresh'] as const) {
    sessionHooks.hook(hook, (session) => {
      delete session.idToken
    })
  }
})
