import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const broadcaster = 'http://127.0.0.1:8080'

export default defineConfig({
  base: './',
  plugins: [react()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: { '/rl': { target: broadcaster, ws: true }, '/metrics': broadcaster },
  },
})
