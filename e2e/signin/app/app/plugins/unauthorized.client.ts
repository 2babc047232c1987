// A call to /api that finds no session sends the browser through sign-in, once
// a minute at most. It is window.fetch that sees every call: Nuxt binds $fetch
// when it loads.
export default defineNuxtPlugin(() => {
  const fetch = window.fetch
  window.fetch = async (...args) => {
    const response = await fetch(...args)
    const { origin, pathname } = new URL(response.url)
    const api = origin === location.origin && pathname.startsWith('/api/') && !pathname.startsWith('/api/_auth/')
    if (api && response.status === 401 && Date.now() - Number(sessionStorage.getItem('sign-in')) > 60_000) {
      sessionStorage.setItem('sign-in', String(Date.now()))
      location.assign(`/auth/oidc/login?callbackRedirectUrl=${encodeURIComponent(location.pathname + location.search)}`)
    }
    return response
  }
})
